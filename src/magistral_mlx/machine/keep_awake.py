"""Keeps a Mac from falling asleep while there is work, and only then.

`caffeinate -i` holds off idle sleep alone. Never `-d`: a display that is kept on is what makes macOS end long
work on the GPU ("Impacting Interactivity").
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
    """What is needed of `subprocess.Popen`."""

    def terminate(self) -> None:
        """End it."""

    def wait(self) -> int:
        """Wait for its end."""
        ...


def caffeinate() -> Running | None:
    """Starts the program for as long as this process lives; None where there is none."""
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
    """The machine does not fall asleep by itself within; elsewhere than on a Mac nothing happens."""
    running = start()
    try:
        yield
    finally:
        if running is not None:
            running.terminate()
            running.wait()
