"""Keep a Mac from falling asleep while it works, and only then.

`caffeinate -i` prevents idle sleep alone. Never use `-d`: with the display kept on, macOS ends long work on
the GPU ("Impacting Interactivity"). With `-w` the program ends with this process, even after
SIGKILL.
"""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol

PROGRAM = "/usr/bin/caffeinate"

_log = logging.getLogger(__name__)


class Running(Protocol):
    """The part of `subprocess.Popen` in use here."""

    def terminate(self) -> None:
        """End the program."""

    def wait(self) -> int:
        """Wait for its end."""
        ...


def caffeinate() -> Running | None:
    """Start the program for the lifetime of this process; return None where it does not exist."""
    if sys.platform != "darwin":
        return None
    try:
        return subprocess.Popen(
            [PROGRAM, "-i", "-w", str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        _log.info("The machine may fall asleep while it works: %s", error)
        return None


@contextmanager
def keep_awake(start: Callable[[], Running | None] = caffeinate) -> Generator[None]:
    """Prevent idle sleep within the block. Does nothing outside macOS."""
    running = start()
    try:
        yield
    finally:
        if running is not None:
            running.terminate()
            running.wait()
