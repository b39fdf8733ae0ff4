"""`magistral models`: the bundled miniature, what is installed, and what is broken."""

import json
from pathlib import Path

import pytest

from magistral_mlx.commands import main
from magistral_mlx.errors import CheckpointError, UsageError
from magistral_mlx.storage import paths
from magistral_mlx_convert import convert
from support.random_checkpoint import tiny_config, write_converted, write_source


def _models(*arguments: str) -> int:
    return main.dispatch(["models", *arguments], commands={"models": "magistral_mlx.commands.models"})


def _install(name: str, *, vision: bool = True, bits: int = 4) -> None:
    folder = paths.models_directory() / name
    folder.mkdir(parents=True)
    write_converted(folder, config=tiny_config(vision=vision), bits=bits)


def test_a_fresh_machine_has_the_miniature(capsys: pytest.CaptureFixture[str]) -> None:
    assert _models() == 0
    printed = capsys.readouterr()
    heading, miniature = printed.out.splitlines()
    assert heading.split() == ["NAME", "SIZE", "WEIGHTS", "IMAGES", "FOLDER"]
    assert miniature.startswith("miniature ")
    assert str(paths.models_directory()) in printed.err


def test_installed_models_are_described(capsys: pytest.CaptureFixture[str]) -> None:
    _install("packed")
    _install("whole", vision=False, bits=16)
    assert _models("--json") == 0
    listing = json.loads(capsys.readouterr().out)
    assert listing["directory"] == str(paths.models_directory())
    miniature, packed, whole = listing["models"]
    assert miniature["name"] == "miniature"
    assert (packed["name"], packed["quantization"], packed["vision"]) == (
        "packed",
        "4 bits, affine, group 64",
        True,
    )
    assert (whole["name"], whole["quantization"], whole["vision"]) == ("whole", None, False)
    files = (paths.models_directory() / "packed").glob("*.safetensors")
    assert packed["size_bytes"] == sum(file.stat().st_size for file in files)


def test_a_broken_folder_is_listed_with_its_problem(capsys: pytest.CaptureFixture[str]) -> None:
    _install("broken")
    (paths.models_directory() / "broken" / "config.json").write_text("{")
    assert _models() == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("broken ")
    assert "not usable" in line
    assert "config.json" in line


def _converted(name: str) -> Path:
    source = write_source(paths.models_directory().parent / "hf")
    paths.models_directory().mkdir(parents=True, exist_ok=True)
    return convert(source, paths.models_directory() / name)


def test_verify_says_that_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    folder = _converted("mine")
    for model in ("mine", str(folder)):
        assert _models("verify", model) == 0
        assert f"files in {folder} are unchanged" in capsys.readouterr().out
    assert _models("verify", "mine", "--json") == 0
    assert json.loads(capsys.readouterr().out)["bad"] == []


def test_verify_names_each_bad_file(capsys: pytest.CaptureFixture[str]) -> None:
    folder = _converted("mine")
    (folder / "tekken.json").unlink()
    (folder / "config.json").write_bytes(b"{}")
    with pytest.raises(CheckpointError, match=r"2 of \d files"):
        _models("verify", "mine")
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["BAD", "config.json"],
        ["BAD", "tekken.json"],
    ]
    with pytest.raises(CheckpointError):
        _models("verify", "mine", "--json")
    bad = json.loads(capsys.readouterr().out)["bad"]
    assert bad[1] == {"name": "tekken.json", "problem": "is missing"}


def test_verify_without_a_folder_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="DIR"):
        _models("verify")
