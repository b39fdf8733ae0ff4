"""`magistral convert --json`: one object a line, for programs; the people's lines stay on stderr."""

import io
import json
from pathlib import Path

import pytest

from magistral_mlx.commands.main import main
from magistral_mlx.errors import ConversionError
from magistral_mlx_convert import Progress, Stage, conversion
from magistral_mlx_convert.progress.json_log import JsonLog
from support.random_checkpoint import write_source


def events(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_run_from_preflight_to_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_source(tmp_path / "hf")
    assert main(["convert", str(source), "--to", str(tmp_path / "out"), "--json"]) == 0
    captured = capsys.readouterr()
    recipe, first, *middle, last = events(captured.out)
    assert recipe["event"] == "note"
    assert str(recipe["text"]).startswith("Recipe ")
    assert first["event"] == "preflight"
    assert first["output_files"] == 1
    assert isinstance(first["disk_needed"], int)
    assert {event["event"] for event in middle} == {"progress"}
    converted = [event for event in middle if event["stage"] == "convert"][-1]
    assert converted["bytes_done"] == converted["bytes_total"] == first["source_bytes"]
    assert converted["tensors_done"] == converted["tensors_total"]
    for key in ("bytes_per_second", "memory_bytes", "peak_memory_bytes"):
        assert isinstance(converted[key], int)
    assert (last["event"], last["folder"]) == ("done", str(tmp_path / "out"))
    assert "Done. Use it" in captured.err
    assert all(str(event["time"]).endswith("+00:00") for event in middle)


def test_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(tmp_path / "none"), "--to", str(tmp_path / "out"), "--json"]) == 1
    captured = capsys.readouterr()
    (only,) = events(captured.out)
    assert only["event"] == "error"
    assert "does not exist" in str(only["problem"])
    assert only["remedy"]
    assert "does not exist" in captured.err


def test_ctrl_c(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(conversion, "stream", interrupted)
    source = write_source(tmp_path / "hf")
    assert main(["convert", str(source), "--to", str(tmp_path / "out"), "--json"]) == 130
    assert events(capsys.readouterr().out)[-1]["event"] == "interrupted"


def test_progress_is_seldom_but_its_end_is_there() -> None:
    stream = io.StringIO()
    log = JsonLog(stream)
    for done in range(1001):
        log.show(Progress(stage=Stage.CONVERT, bytes_done=done, bytes_total=1000))
    written = events(stream.getvalue())
    assert written[0]["bytes_done"] == 0
    assert written[-1]["bytes_done"] == 1000
    assert len(written) < 500


def test_notes_are_lines_of_their_own() -> None:
    stream = io.StringIO()
    JsonLog(stream).show(Progress(stage=Stage.CONVERT, note="Going on"))
    assert [(event["event"], event["text"]) for event in events(stream.getvalue())] == [("note", "Going on")]


class Broken(io.StringIO):
    def write(self, _: str, /) -> int:
        raise BrokenPipeError


def test_a_reader_that_went_away_does_not_stop_the_conversion() -> None:
    log = JsonLog(Broken())
    log.show(Progress(stage=Stage.CONVERT, note="Going on"))
    log.failed(ConversionError("It failed", "Try again."))
