"""Open, read, replace, remove and hash files that others may have tampered with.

Every file that the program keeps for itself goes through here. Reads take regular files only: a FIFO would
wait for ever, a device would never end. Writes go to a fresh file in the same folder, which then takes the
place of the old one in one step: after a crash the path holds the old bytes or the new ones, and a link that
somebody planted is replaced, never followed.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Generator
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import cast

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
"""Modes of files and folders that hold a person's words or images."""


def open_regular(path: str | os.PathLike[str], *, follow: bool = True) -> BufferedReader:
    """Open a regular file for reading.

    Args:
        path: the file.
        follow: accept a symbolic link to a regular file.

    Raises:
        OSError: it can't be opened, or it is a folder, FIFO, socket or device (EINVAL).
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bytes(path: str | os.PathLike[str], *, most: int) -> bytes:
    """Read a regular file of at most `most` bytes.

    Raises:
        OSError: as `open_regular`, or the file is larger (EFBIG).
    """
    with open_regular(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"larger than {most} bytes", os.fspath(path))
    return content


def read_json(path: str | os.PathLike[str], *, most: int) -> object:
    """Read JSON from a regular file of at most `most` bytes.

    Raises:
        OSError: as `read_bytes`.
        ValueError: the content is not JSON, or is nested too deeply.
    """
    try:
        return cast(object, json.loads(read_bytes(path, most=most)))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def hash_file(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a regular file, in hexadecimal.

    Raises:
        OSError: as `open_regular`.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_private(folder: Path) -> None:
    """Make a folder that only its owner may look into; one that is there already becomes private.

    Raises:
        OSError: it can't be made.
    """
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        folder.chmod(PRIVATE_FOLDER)


def open_private(path: Path) -> BufferedWriter:
    """Open a file for appending that only its owner may read; a link in its place is refused.

    Raises:
        OSError: it can't be opened, or it is no regular file.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, PRIVATE_FILE)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        os.fchmod(descriptor, PRIVATE_FILE)
        return os.fdopen(descriptor, "ab")
    except BaseException:
        os.close(descriptor)
        raise


def replace_file(path: Path, data: bytes, *, mode: int = PRIVATE_FILE, durable: bool = True) -> None:
    """Replace the content of `path` by `data` in one step; see `replacing`.

    Raises:
        OSError: it can't be written; the old content stays and nothing is left beside it.
    """
    with replacing(path, mode=mode, durable=durable) as fresh:
        fresh.write_bytes(data)


@contextlib.contextmanager
def replacing(
    path: Path, *, mode: int = PRIVATE_FILE, suffix: str = "", durable: bool = True
) -> Generator[Path]:
    """Give a fresh file beside `path` that takes its place when the block ends without an error.

    Args:
        path: the file to replace.
        mode: permissions of the new file.
        suffix: end of the fresh file's name, for libraries that look at it.
        durable: flush it to the disk, against a loss of power; too slow for an event loop.

    Raises:
        OSError: it can't be written; the old content stays and nothing is left beside it.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", suffix=suffix, dir=path.parent)
    os.close(handle)
    fresh = Path(name)
    try:
        yield fresh
        if durable:
            with fresh.open("rb") as file:
                sync(file.fileno())
        fresh.chmod(mode)
        fresh.replace(path)
        if durable:
            sync_folder(path.parent)
    finally:
        fresh.unlink(missing_ok=True)


def sync(descriptor: int) -> None:
    """Flush a file or folder to the disk; on macOS fsync alone stops at the drive's own cache."""
    full: int | None = getattr(fcntl, "F_FULLFSYNC", None)
    if full is None:
        os.fsync(descriptor)
        return
    try:
        fcntl.fcntl(descriptor, full)
    except OSError:
        os.fsync(descriptor)  # some file systems (network, FAT) know only this one


def sync_folder(folder: Path) -> None:
    """Make renames and new names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)
