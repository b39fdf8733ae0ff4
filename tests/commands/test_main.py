"""The `magistral` command: dispatch, exit codes, and one line for every failure."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from magistral_mlx.commands import main
from magistral_mlx.errors import CheckpointError, UsageError
from magistral_mlx.storage import paths

Install = Callable[..., ModuleType]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make a command exist for one test: `install(name, run)`."""
    commands: dict[str, str] = {}
    monkeypatch.setattr(main, "installed_commands", lambda: commands)

    def add(name: str, run: Callable[[argparse.Namespace], int]) -> ModuleType:
        module = ModuleType(f"a_command_called_{name}")
        module.SUMMARY = f"does {name}"  # type: ignore[attr-defined]
        module.configure = lambda parser: parser.add_argument("--level", type=int)  # type: ignore[attr-defined]
        module.run = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        commands[name] = module.__name__
        return module

    return add


def _raising(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def run(_: argparse.Namespace) -> int:
        raise error

    return run


def test_a_command_gets_its_arguments_and_its_exit_code_comes_back(install: Install) -> None:
    install("go", lambda arguments: int(arguments.level))
    assert main.main(["go", "--level", "7"]) == 7


def test_without_a_command_the_app_takes_the_options(install: Install) -> None:
    install("app", lambda arguments: int(arguments.level or 5))
    assert main.main(["--level", "3"]) == 3
    assert main.main([]) == 5
    assert main.main(["app", "--level", "4"]) == 4


def test_the_app_without_a_terminal_names_the_ways_that_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "magistral ask" in printed.err
    assert "magistral demo" in printed.err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (
            CheckpointError("No config.json in x", "Name a converted folder."),
            1,
            "No config.json in x. Name a converted",
        ),
        (UsageError("--a contradicts --b", "Leave one out."), 2, "--a contradicts --b. Leave one out."),
        (KeyboardInterrupt(), 130, "Stopped."),
        (CheckpointError("bad \x1b[2J\nname"), 1, "bad ␛[2J name"),
    ],
)
def test_a_failure_is_one_line_and_its_exit_code(
    error: BaseException, code: int, line: str, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("go", _raising(error))
    assert main.main(["go"]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("magistral: ")
    assert line in printed.err
    assert printed.err.count("\n") == 1


def test_a_defect_is_one_line_and_a_traceback_in_the_log(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("go", _raising(ZeroDivisionError("oh no")))
    assert main.main(["go"]) == 1
    printed = capsys.readouterr().err
    log = paths.log_directory() / "magistral.log"
    assert printed.count("\n") == 1
    assert "ZeroDivisionError: oh no" in printed
    assert str(log) in printed
    assert "Traceback" in log.read_text()
    assert "ZeroDivisionError" in log.read_text()
    assert "oh no" not in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600
    assert log.parent.stat().st_mode & 0o777 == 0o700


def test_a_panic_of_a_library_is_one_line(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    class PanicException(BaseException):
        pass

    install("go", _raising(PanicException("oh no")))
    assert main.main(["go"]) == 1
    printed = capsys.readouterr().err
    assert "PanicException: oh no" in printed
    assert printed.count("\n") == 1


def test_a_defect_without_a_writable_log_is_told_all_the_same(
    install: Install, capsys: pytest.CaptureFixture[str], own_home: Path
) -> None:
    paths.data_directory().write_text("a file where the folder should be")
    install("go", _raising(ZeroDivisionError("oh no")))
    assert main.main(["go"]) == 1
    assert "the log could not be written" in capsys.readouterr().err.lower()


def test_debugging_shows_the_traceback_and_keeps_the_exit_code(
    install: Install, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAGISTRAL_MLX_DEBUG", "1")
    install("go", _raising(UsageError("--a contradicts --b")))
    assert main.main(["go"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_wrong_usage_is_one_line_that_leads_to_the_help(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("go", _raising(AssertionError("ran")))
    assert main.main(["go", "--level", "high"]) == 2
    assert main.main(["go", "--unknown"]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 2
    assert printed.count("`magistral go --help`") == 2


def test_a_mistyped_command_is_suggested(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("convert", _raising(AssertionError("ran")))
    assert main.main(["convrt"]) == 2
    assert main.main(["zzzz"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "`magistral convert`" in first
    assert "`magistral --help`" in second


def test_help_lists_every_command_with_its_summary(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("go", _raising(AssertionError("ran")))
    install("stay", _raising(AssertionError("ran")))
    assert main.main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert "does go" in printed
    assert "does stay" in printed
    assert main.main(["go", "--help"]) == 0
    assert "--level" in capsys.readouterr().out


def test_the_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("magistral 0.")
