"""How a command speaks: results to stdout, everything else to stderr, colours only where they are wanted.

Foreign text is made harmless on its way to a terminal; a pipe or a file receives it as it is.
"""

import os
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from magistral_mlx.errors import MagistralError
from magistral_mlx.sanitize import sanitize, sanitize_line

_DIM, _BOLD, _RESET = "\x1b[2m", "\x1b[1m", "\x1b[0m"
_ERASE_LINE = "\r\x1b[K"


@contextmanager
def writing_output() -> Generator[None]:
    """Turn a failure to write the output into one error line; let a closed pipe pass.

    Raises:
        MagistralError: the output cannot be written, mostly because the disk is full.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise MagistralError(
            f"The output cannot be written: {error.strerror}", "Free space or write it elsewhere."
        ) from error


@dataclass(frozen=True)
class Console:
    """The two streams of a command and what they can show."""

    out: TextIO
    err: TextIO
    environment: Mapping[str, str]

    @classmethod
    def standard(cls) -> "Console":
        """The console of this process."""
        return cls(sys.stdout, sys.stderr, os.environ)

    def result(self, text: str) -> None:
        """Write a piece of the result to stdout, at once."""
        with writing_output():
            self.out.write(sanitize(text) if self.out.isatty() else text)
            self.out.flush()

    def aside(self, text: str) -> None:
        """Write text beside the result, such as reasoning, to stderr at once; dimmed on a terminal."""
        clean = sanitize(text) if self.err.isatty() else text
        self.err.write(f"{_DIM}{clean}{_RESET}" if clean.strip() and self._styled(self.err) else clean)
        self.err.flush()

    def note(self, line: str) -> None:
        """Write one line to stderr, on a terminal or not."""
        self.err.write(sanitize_line(line) + "\n")
        self.err.flush()

    def remark(self, line: str) -> None:
        """Write one dimmed line to stderr if it is a terminal; else nothing."""
        if self.err.isatty():
            self.aside(sanitize_line(line) + "\n")

    def progress(self, line: str) -> None:
        """Show a passing line on stderr in place of the last one; nothing unless it is a terminal."""
        if self._moves(self.err):
            self.err.write(_ERASE_LINE + sanitize_line(line))
            self.err.flush()

    def end_progress(self) -> None:
        """Remove the passing line."""
        if self._moves(self.err):
            self.err.write(_ERASE_LINE)
            self.err.flush()

    def heading(self, text: str) -> None:
        """Write a line of the result, in bold where stdout shows styles."""
        if not self._styled(self.out):
            self.result(text + "\n")
            return
        with writing_output():
            self.out.write(f"{_BOLD}{sanitize(text)}{_RESET}\n")
            self.out.flush()

    def shows_colour(self) -> bool:
        """Whether colours may go to stdout."""
        return self._styled(self.out)

    def _moves(self, stream: TextIO) -> bool:
        return stream.isatty() and self.environment.get("TERM") != "dumb"

    def _styled(self, stream: TextIO) -> bool:
        # https://no-color.org: any value but the empty one turns colours off.
        return self._moves(stream) and not self.environment.get("NO_COLOR")
