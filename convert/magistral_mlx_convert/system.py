"""What macOS and Linux do differently for a long job on large files: the only file that asks which it is.

Everything here is an optimisation or a promise to the disk; nothing changes a byte of the output.
"""

import fcntl
import os


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


SPARE_BYTES = 64 << 20
"""Free disk needed beyond the output itself: the journal, the file system's own needs."""
