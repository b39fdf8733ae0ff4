"""`magistral convert`: what is on stdout, on stderr, and the exit code; and what progress looks like."""

import io
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from magistral_mlx.commands.main import main
from magistral_mlx_convert import Progress, Stage, conversion
from magistral_mlx_convert.progress import line as progress_line
from magistral_mlx_convert.progress.line import ProgressLine, describe
from support.random_checkpoint import write_source


def run(*arguments: str | Path) -> int:
    return main(["convert", *map(str, arguments)])


def test_the_folder_is_all_of_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_source(tmp_path / "hf")
    assert run(source, "--to", tmp_path / "out") == 0
    captured = capsys.readouterr()
    assert captured.out == f"{tmp_path / 'out'}\n"
    assert f"magistral ask --model {tmp_path / 'out'}" in captured.err
    assert "\x1b" not in captured.err


def test_the_report_is_summed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_source(tmp_path / "hf")
    assert run(source, "--to", tmp_path / "out", "--report") == 0
    assert "Report: weights differ by" in capsys.readouterr().err
    assert (tmp_path / "out" / "report.json").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        ((), 2, "--to"),
        (("--to", "{out}", "--bits", "16", "--mode", "affine"), 2, "16 bits"),
        (("--to", "{out}", "--bits", "four"), 2, "invalid int value"),
        (("--to", "{out}", "--group-size", "128"), 2, "groups of 128"),
        (("--to", "{out}", "--revision", "main"), 2, "no revisions"),
        (("--to", "{hf}"), 1, "already exists"),
        (("--to", "{out}", "--tokenizer", "{hf}/none.json"), 1, "none.json can't be read"),
    ],
)
def test_failures_are_one_line_with_the_right_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, complaint: str
) -> None:
    source = write_source(tmp_path / "hf")
    filled = [part.format(out=tmp_path / "out", hf=source) for part in arguments]
    assert run(source, *filled) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert complaint in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("flag", "left"), [("--resume", [".out.partial"]), ("--no-resume", [])])
def test_ctrl_c_says_what_is_left(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flag: str,
    left: list[str],
) -> None:
    source = write_source(tmp_path / "hf")
    (tmp_path / "work").mkdir()
    stream = conversion.stream

    def interrupted(*arguments: object, **options: object) -> object:
        stream(*arguments, **options)  # type: ignore[arg-type]  # handed through
        raise KeyboardInterrupt

    monkeypatch.setattr(conversion, "stream", interrupted)
    assert run(source, "--to", tmp_path / "work" / "out", flag) == 130
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("run the same command again to continue" if left else "nothing was left behind") in captured.err
    assert [path.name for path in (tmp_path / "work").iterdir()] == left


def test_sigint_to_the_process(tmp_path: Path) -> None:
    """The real signal at an arbitrary moment: 130 and no target, or it came too late and all is done."""
    source = write_source(tmp_path / "hf")
    command = "from magistral_mlx.commands.main import main; raise SystemExit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "convert", source, "--to", tmp_path / "out"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    while not (tmp_path / ".out.lock").exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    complaint = process.communicate()[1]
    assert process.returncode in (0, 130), complaint
    assert (tmp_path / "out").exists() == (process.returncode == 0)
    assert "Traceback" not in complaint


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def halfway(**changes: object) -> Progress:
    values: dict[str, object] = {
        "stage": Stage.CONVERT,
        "bytes_done": 24_000_000_000,
        "bytes_total": 48_000_000_000,
        "tensors_done": 290,
        "tensors_total": 585,
    }
    return Progress(**values | changes)  # type: ignore[arg-type]  # as written above


def test_a_line_tells_share_speed_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_line, "memory_bytes", lambda: 200_000_000)
    monkeypatch.setattr(progress_line, "peak_memory_bytes", lambda: 250_000_000)
    line = describe(halfway(), seconds=80)
    for part in (
        "convert",
        " 50 %",
        "24.0 GB of 48.0 GB",
        "290/585 tensors",
        "300 MB/s",
        "1:20 left",
        "RAM 191 MiB, peak 238 MiB",
    ):
        assert part in line


def test_speed_counts_only_what_this_run_did() -> None:
    assert "100 MB/s" in describe(halfway(bytes_kept=16_000_000_000), seconds=80)
    assert "MB/s" not in describe(halfway(bytes_kept=24_000_000_000), seconds=80)


def test_what_is_fetched_is_told() -> None:
    assert "75 % fetched" in describe(halfway(bytes_fetched=36, bytes_to_fetch=48), seconds=80)


@pytest.mark.parametrize("columns", [20, 40, 60, 79, 100, 120, 200])
def test_a_narrow_terminal_keeps_what_matters_most(columns: int) -> None:
    line = describe(halfway(bytes_fetched=36, bytes_to_fetch=48), seconds=80, columns=columns)
    assert len(line) <= max(columns, 24)
    assert " 50 %" in line
    assert columns < 40 or "1:20 left" in line
    assert columns < 79 or "24.0 GB of 48.0 GB" in line
    assert columns < 120 or "290/585 tensors" in line


def test_hours_left() -> None:
    assert "2:13:20 left" in describe(halfway(), seconds=8000)


def test_a_terminal_gets_one_line_that_rewrites_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_line, "_REDRAW_SECONDS", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    terminal = Terminal()
    with ProgressLine(terminal) as line:
        line.show(halfway())
        line.show(halfway(bytes_done=25_000_000_000))
        line.show(halfway(note="A note with \x1b[31m colour"))
    shown = terminal.getvalue()
    assert shown.count("\n") == 1, "only the note ends a line"
    assert "\x1b[31m" not in shown
    assert shown.count("\r\x1b[2K") >= 3
    assert all(len(piece) <= 40 for piece in shown.replace("\n", "\r\x1b[2K").split("\r\x1b[2K"))


def test_a_dumb_terminal_and_a_file_get_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_line, "_PLAIN_SECONDS", 0.0)
    monkeypatch.setenv("TERM", "dumb")
    for stream in (Terminal(), io.StringIO()):
        with ProgressLine(stream) as line:
            line.show(halfway())
            line.show(halfway())
        assert stream.getvalue().count("\n") == 2
        assert "\r" not in stream.getvalue()
        assert "\x1b" not in stream.getvalue()


def test_lines_elsewhere_are_seldom() -> None:
    stream = io.StringIO()
    with ProgressLine(stream) as line:
        for _ in range(1000):
            line.show(halfway())
    assert stream.getvalue() == ""


def test_a_real_terminal(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hf")
    ours, theirs = pty.openpty()
    command = "from magistral_mlx.commands.main import main; raise SystemExit(main())"
    finished = subprocess.run(
        [sys.executable, "-c", command, "convert", source, "--to", tmp_path / "out"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        check=False,
        env={**os.environ, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert finished.returncode == 0
    assert "convert ┄" in shown
    assert shown.endswith("'\r\n")
