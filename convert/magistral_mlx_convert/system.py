"""Hints to macOS and Linux for reading a large file once. No byte of the output depends on them."""

import fcntl
import os


def will_be_read_once(descriptor: int) -> None:
    """Keep a file that is read front to back from pushing other programs' pages out of memory."""
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
