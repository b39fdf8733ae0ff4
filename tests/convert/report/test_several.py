"""`magistral models report` on several conversions at once, whoever made them."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from magistral_mlx.commands.main import main
from magistral_mlx_convert import convert
from support.gguf_checkpoint import write_eye, write_text
from support.random_checkpoint import tiny_config, write_source


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The source, two folders of ours, one that lost its manifest and system prompt, and a GGUF file."""
    base = tmp_path_factory.mktemp("several")
    source = write_source(base / "hf")
    ours = convert(source, base / "four", recipe="4bit")
    exact = convert(source, base / "eight", recipe="8bit")
    foreign = convert(source, base / "foreign", recipe="4bit")
    for name in ("magistral-mlx.json", "SYSTEM_PROMPT.txt", "README.md"):
        (foreign / name).unlink()
    write_eye(base / "gguf" / "mmproj-tiny.gguf", source)
    write_text(base / "gguf" / "tiny-Q8_0.gguf", source, kind="Q8_0")
    paths = {"hf": source, "four": ours, "eight": exact, "foreign": foreign, "gguf": base / "gguf"}
    return {name: str(path) for name, path in paths.items()}


def test_all_kinds_stand_in_one_table(made: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    names = ("four", "eight", "foreign", "gguf")
    assert main(["models", "report", *(made[name] for name in names), "--source", made["hf"], "--json"]) == 0
    told = {each["name"]: each for each in json.loads(capsys.readouterr().out)["models"]}
    loss = {name: told[name]["comparison"]["whole"]["mean_kl"] for name in names}
    assert loss["four"] == loss["foreign"]
    assert loss["eight"] < 0.1 * loss["four"]
    assert loss["gguf"] < 0.1 * loss["four"]
    assert told["four"]["bytes"] < told["eight"]["bytes"]
    assert len(told["gguf"]["comparison"]["groups"]) == 25


def test_people_get_a_table_and_a_chart(
    made: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chart = tmp_path / "chart.svg"
    assert (
        main(["models", "report", made["four"], made["eight"], "--source", made["hf"], "--svg", str(chart)])
        == 0
    )
    out = capsys.readouterr().out
    assert "| four |" in out
    assert "| Ukrainian |" in out
    assert ElementTree.parse(chart).getroot().tag.endswith("svg")


def test_another_model_is_refused(
    made: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config()
    config["text_config"]["num_hidden_layers"] = 1
    other = convert(write_source(tmp_path / "other", config=config), tmp_path / "out", recipe="4bit")
    assert main(["models", "report", made["four"], str(other), "--source", made["hf"]]) == 1
    assert "other dimensions" in capsys.readouterr().err
