"""What macOS and Linux do differently for a long job on large files: the only file that asks which it is.

Everything here is an optimisation or a promise to the disk; nothing changes a byte of the output.
"""

import fcntl
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_CAFFEINATE = Path("/usr/bin/caffeinate")


def sync(descriptor: int) -> None:
    """Flushes a file or folder to the disk itself; on macOS fsync alone stops at the drive's cache."""
    full: int | None = getattr(fcntl, "F_FULLFSYNC", None)
    if full is None:
        os.fsync(descriptor)
        return
    try:
        fcntl.fcntl(descriptor, full)
    except OSError:
        os.fsync(descriptor)  # some file systems (network, FAT) know only this one


def will_be_read_once(descriptor: int) -> None:
    """Keeps a file that is read from front to end from pushing other programs' pages out of memory."""
    no_cache: int | None = getattr(fcntl, "F_NOCACHE", None)
    try:
        if no_cache is not None:
            fcntl.fcntl(descriptor, no_cache, 1)
        elif hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    except OSError:
        return  # a hint, which some file systems do not take


@contextmanager
def awake() -> Generator[None]:
    """Keeps a Mac from falling asleep for want of a user, for as long as the block runs.

    `caffeinate` watches this process, so that it ends with it even after SIGKILL. The display may sleep.
    """
    if sys.platform != "darwin" or not _CAFFEINATE.exists():
        yield
        return
    command = [str(_CAFFEINATE), "-i", "-w", str(os.getpid())]
    nothing = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing) as watcher:
        try:
            yield
        finally:
            watcher.terminate()
