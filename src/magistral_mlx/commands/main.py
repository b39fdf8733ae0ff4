"""The `magistral` command: finds the subcommand, runs it, and turns every way to fail into one line.

Subcommands are the entry points of this distribution in the group `magistral_mlx.commands`;
docs/architecture.md says what such a module holds. Only the module of the command that is asked for is
imported, `--help` imports them all, and none of them imports anything heavy before it runs.

Exit codes: 0 success, 1 a domain error or a defect, 2 wrong usage, 130 Ctrl-C, 141 a closed pipe.
With `MAGISTRAL_MLX_DEBUG=1` the traceback of an error stands before its line.
"""

import argparse
import difflib
import importlib
import io
import os
import platform
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn, Protocol, TextIO, cast

from magistral_mlx.commands.console import writing_output
from magistral_mlx.errors import MagistralError, UsageError
from magistral_mlx.machine.defects import describe
from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.storage import paths
from magistral_mlx.storage.atomic import make_private, open_private

if TYPE_CHECKING:
    from _typeshed import SupportsWrite


DISTRIBUTION = "magistral-mlx"
GROUP = "magistral_mlx.commands"
DEFAULT_COMMAND = "app"

EXIT_DOMAIN_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


class Command(Protocol):
    """Interface of a subcommand's module."""

    SUMMARY: str
    """One line for `magistral --help`."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do the work and return the exit code."""
        ...


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are `UsageError`s: one line, with the way to the help."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message[:1].upper() + message[1:], f"Run `{self.prog} --help` for the usage.")

    def print_help(self, file: "SupportsWrite[str] | None" = None) -> None:
        # argparse's own method drops every error of writing.
        _write(self.format_help(), sys.stdout if file is None else file)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `magistral` with `argv` (default: the process's arguments) and return its exit code."""
    _tolerate_foreign_encodings()
    try:
        code = dispatch(list(sys.argv[1:] if argv is None else argv), commands=installed_commands())
        with writing_output():
            sys.stdout.flush()
    except BrokenPipeError:
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        _complain("Stopped.")
        return EXIT_INTERRUPTED
    except MagistralError as error:
        _trace(error)
        _complain(str(error))
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_DOMAIN_ERROR
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - the outermost edge: a defect is logged, the user sees one line
        _trace(error)
        _complain(_report_defect(error))
        return EXIT_DOMAIN_ERROR
    finally:
        _settle(sys.stdout)
    return code


def installed_commands(group: str = GROUP) -> Mapping[str, str]:
    """Return the modules of all commands of a group by name, from the metadata of this distribution alone."""
    try:
        entry_points = metadata.distribution(DISTRIBUTION).entry_points
    except metadata.PackageNotFoundError as error:
        raise MagistralError(
            f"The distribution {DISTRIBUTION} is not installed here", "Run `pip install .` in its folder."
        ) from error
    return {entry.name: entry.module for entry in entry_points if entry.group == group}


def dispatch(argv: list[str], *, commands: Mapping[str, str]) -> int:
    """Run the subcommand that `argv` begins with; without one, the app takes all arguments."""
    first = argv[0] if argv else ""
    if first in {"-h", "--help"}:
        _overview(commands).print_help()
        return 0
    if first == "--version":
        _write(f"magistral {metadata.version(DISTRIBUTION)}\n", sys.stdout)
        return 0
    if first and not first.startswith("-"):
        if first not in commands:
            raise UsageError(f"There is no command {first!r}", _suggestion(first, commands))
        return _run(commands[first], argv[1:], prog=f"magistral {first}")
    return _run(commands[DEFAULT_COMMAND], argv, prog="magistral")


def _run(module: str, argv: list[str], *, prog: str) -> int:
    command = _load(module)
    parser = Parser(prog=prog, description=command.SUMMARY, allow_abbrev=False)
    command.configure(parser)
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as done:  # argparse leaves this way after --help
        return int(done.code or 0)
    return command.run(arguments)


def _load(module: str) -> Command:
    # A module satisfies the protocol by its names; that the installed ones do is tested.
    loaded: ModuleType = importlib.import_module(module)
    return cast(Command, loaded)


def _overview(commands: Mapping[str, str]) -> Parser:
    parser = Parser(
        prog="magistral",
        usage="magistral [--help] [--version] [COMMAND] ...",
        description="Magistral Small on this computer: reasoning and seeing, locally, on MLX.",
        epilog="Without a command the terminal app opens and takes the options of `magistral app`. "
        "`magistral COMMAND --help` explains one command.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    listing = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    for name in sorted(commands):
        listing.add_parser(name, help=_load(commands[name]).SUMMARY, add_help=False)
    return parser


def _write(text: str, stream: "SupportsWrite[str]") -> None:
    with writing_output():
        stream.write(text)


def _suggestion(typed: str, commands: Mapping[str, str]) -> str:
    near = difflib.get_close_matches(typed, commands, n=1)
    return f"Did you mean `magistral {near[0]}`?" if near else "Run `magistral --help` for the commands."


def _tolerate_foreign_encodings() -> None:
    """Show a replacement for a character that the terminal cannot show; keep the answer."""
    stdout: object = sys.stdout
    if isinstance(stdout, io.TextIOWrapper):
        cast("io.TextIOWrapper", stdout).reconfigure(errors="replace")


def _trace(error: BaseException) -> None:
    if os.environ.get("MAGISTRAL_MLX_DEBUG", "") not in {"", "0"}:
        traceback.print_exception(error)


def _complain(line: str) -> None:
    with suppress(OSError):
        sys.stderr.write(f"magistral: {sanitize_line(line)}\n")
    _settle(sys.stderr)


def _settle(stream: TextIO) -> None:
    """Write what is buffered, or drop it, so that the interpreter's last flush cannot fail."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _report_defect(error: BaseException) -> str:
    """Write the traceback to the log file and return the line for the user."""
    what = f"Unexpected {type(error).__name__}: {error}"
    try:
        where = f"The details are in {write_defect(error)}"
    except OSError as failure:
        where = f"The log could not be written ({failure})"
    return f"{what}. {where}; MAGISTRAL_MLX_DEBUG=1 shows the traceback here."


def write_defect(error: BaseException) -> Path:
    """Append the traceback of `error` to the log and return the log's path.

    The arguments of the command and the messages of errors are left out: they can hold the user's words.

    Raises:
        OSError: the log cannot be written.
    """
    folder = paths.log_directory()
    make_private(folder)
    path = folder / "magistral.log"
    now = datetime.now(UTC).isoformat(timespec="seconds")
    version = metadata.version("magistral-mlx")
    head = f"--- {now} magistral-mlx {version} Python {platform.python_version()} {platform.platform()}"
    with open_private(path) as log:
        log.write(f"{head}\n{describe(error)}\n".encode(errors="backslashreplace"))
    return path
