"""What native libraries print goes into a log, never across the screen.

Textual draws through `sys.__stderr__`, and libraries in C print to file descriptor 2, which is the same.
While the app runs, Textual gets a descriptor of its own and number 2 is the log.
"""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def quiet_stderr(log: Path) -> Generator[None]:
    """Send everything that is printed to descriptor 2 into `log`, appended, but what Textual draws."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:  # a full or read-only disk must not keep the app from starting
        sink = os.open(os.devnull, os.O_WRONLY)
    before, before_python = sys.__stderr__, sys.stderr
    terminal = os.dup(2)
    screen = open(terminal, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115 - a descriptor; closed below
    try:
        os.dup2(sink, 2)
        sys.__stderr__ = screen  # type: ignore[misc]  # Textual has no other way to be told where to draw
        sys.stderr = screen
        yield
    finally:
        sys.__stderr__ = before  # type: ignore[misc]  # as above
        sys.stderr = before_python
        os.dup2(terminal, 2)
        with suppress(OSError):  # the terminal may be gone
            screen.close()
        os.close(terminal)
        os.close(sink)
