"""Calibrated recipes: better codes in the same format, whole after kills, and clear about bad texts."""

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from magistral_mlx.errors import UsageError
from magistral_mlx_convert import Progress, convert
from magistral_mlx_convert.quantize import activations, calibration_text
from magistral_mlx_convert.quantize.calibration_text import bundled_text
from magistral_mlx_convert.writing import preflight
from support.hf_checkpoint import digests, read_folder
from support.hub_server import REPOSITORY, Hub
from support.killed_conversion import Job, run_and_kill
from support.random_checkpoint import tiny_config, write_source

TEXT = " ".join(
    f"On day {day} the ship sailed {day * 7 % 30} miles and saw {day % 5} whales." for day in range(60)
)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "own.txt"
    path.write_text(TEXT)
    return path


def test_a_calibrated_folder_differs_from_a_plain_one_in_numbers_alone(tmp_path: Path, text: Path) -> None:
    source = write_source(tmp_path / "hf")
    plain = convert(source, tmp_path / "plain", recipe="4bit")
    better = convert(source, tmp_path / "better", recipe="calibrated-4bit", calibration=text)
    stored = [read_folder(folder) for folder in (plain, better)]
    assert {n: (t.dtype, t.shape) for n, t in stored[0].items()} == {
        n: (t.dtype, t.shape) for n, t in stored[1].items()
    }
    changed = {name for name in stored[0] if stored[0][name] != stored[1][name]}
    assert changed
    assert all(name.endswith((".weight", ".scales", ".biases")) for name in changed)
    assert not [name for name in changed if name.startswith(("vision_tower.", "multi_modal_projector."))]
    configs = [json.loads((folder / "config.json").read_text()) for folder in (plain, better)]
    assert configs[0] == configs[1]


def test_the_manifest_says_what_was_read(tmp_path: Path, text: Path) -> None:
    folder = convert(
        write_source(tmp_path / "hf"), tmp_path / "out", recipe="calibrated-4bit", calibration=text
    )
    told = json.loads((folder / "magistral-mlx.json").read_text())["calibration"]
    assert told["text"] == "own.txt"
    assert told["tokens"] > 256
    assert told["images"] == 6
    assert "own.txt" in (folder / "README.md").read_text()


def test_the_bundled_text_is_read_without_another(tmp_path: Path) -> None:
    folder = convert(write_source(tmp_path / "hf"), tmp_path / "out", recipe="calibrated-3bit-g32")
    told = json.loads((folder / "magistral-mlx.json").read_text())["calibration"]
    assert told["sha256"] == bundled_text().sha256


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\xff\xfe\x00text" * 400, "not UTF-8"), (b"too short", "only"), (None, "can't be read")],
)
def test_a_text_that_can_not_be_used_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "own.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=words):
        convert(write_source(tmp_path / "hf"), tmp_path / "out", recipe="calibrated-4bit", calibration=path)
    assert not (tmp_path / "out").exists()


def test_a_text_without_a_calibrated_recipe_is_refused(tmp_path: Path, text: Path) -> None:
    with pytest.raises(UsageError, match="reads no text"):
        convert(write_source(tmp_path / "hf"), tmp_path / "out", recipe="4bit", calibration=text)


def test_killed_at_any_step_it_goes_on_to_the_same_bytes(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config: dict[str, Any] = tiny_config()
    config["text_config"]["num_hidden_layers"] = 6
    source = write_source(tmp_path / "hf", config=config)
    options = {"recipe": "calibrated-4bit", "calibration": text}
    expected = digests(convert(source, tmp_path / "undisturbed", **options))
    (tmp_path / "work").mkdir()
    job = Job(
        str(source), tmp_path / "work" / "out", {"MARK_BYTES": 20_000, "CHUNK_BYTES": 8_000}, options=options
    )
    steps_file = tmp_path / "steps"
    small = replace(job, target=tmp_path / "counted")
    assert run_and_kill(small, at=0, steps_file=steps_file) == 0
    assert digests(small.target) == expected
    steps = int(steps_file.read_text())
    for life in range(8):
        code = run_and_kill(job, at=max(steps // 9, 1) + life, steps_file=tmp_path / "none")
        if code == 0:
            break
        assert code == -signal.SIGKILL
        assert not job.target.exists()
    if not job.target.exists():
        assert run_and_kill(job, at=0, steps_file=tmp_path / "none") == 0
    assert digests(job.target) == expected


def test_the_automatic_recipe_takes_no_numbers(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="chooses bits"):
        convert(write_source(tmp_path / "hf"), tmp_path / "out", recipe="auto", bits=4)


@pytest.mark.parametrize("has_gpu", [True, False])
def test_the_automatic_recipe_is_named_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_gpu: bool
) -> None:
    monkeypatch.setattr(preflight, "backend", lambda: "metal" if has_gpu else "cpu")
    monkeypatch.setattr(calibration_text, "MOST_WINDOWS", 4)
    events: list[Progress] = []
    source = write_source(tmp_path / "hf")
    folder = convert(source, tmp_path / "out", recipe="auto", progress=events.append)
    written = json.loads((folder / "magistral-mlx.json").read_text())["recipe"]["name"]
    assert written.startswith("calibrated-") is has_gpu
    assert any(event.note.startswith(f"Recipe {written}") for event in events)


def test_a_hub_repository_is_calibrated_as_its_files_arrive(tmp_path: Path, text: Path, hub: Hub) -> None:
    options: dict[str, Any] = {"recipe": "calibrated-4bit", "calibration": text}
    local = read_folder(convert(hub.folder, tmp_path / "local", **options))
    assert read_folder(convert(REPOSITORY, tmp_path / "out", **options)) == local


def test_damaged_states_are_computed_again(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_source(tmp_path / "hf")
    options: dict[str, Any] = {"recipe": "calibrated-4bit", "calibration": text}
    expected = digests(convert(source, tmp_path / "good", **options))
    whole = activations.Activations._write

    def spoiled(self: activations.Activations, index: int, states: Any) -> None:
        whole(self, index, states)
        path = self._file(index)
        if index == 1 and not (tmp_path / "spoiled").exists():
            (tmp_path / "spoiled").touch()
            data = bytearray(path.read_bytes())
            data[7] ^= 1
            path.write_bytes(data)

    monkeypatch.setattr(activations.Activations, "_write", spoiled)
    assert digests(convert(source, tmp_path / "out", **options)) == expected
    assert (tmp_path / "spoiled").exists()
