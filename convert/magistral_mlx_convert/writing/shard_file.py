"""One growing output file: append only, hashed while it grows, resumable at a synced position."""

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

from magistral_mlx_convert.system import sync

_BLOCK_BYTES = 1 << 22


class ShardFile:
    """Appends to `path`.

    Args:
        path: created, or continued.
        keep: bytes of an earlier run to keep; what follows them is cut off. `digest` covers them too, because
            they are read again.
    """

    def __init__(self, path: Path, *, keep: int = 0) -> None:
        self._file: BinaryIO = path.open("r+b" if keep else "wb", buffering=0)
        self._hash = hashlib.sha256()
        try:
            if keep:
                self._hash_prefix(keep)
                self._file.truncate(keep)
                self._file.seek(keep)
        except OSError:
            self._file.close()
            raise
        self.position = keep

    def _hash_prefix(self, keep: int) -> None:
        left = keep
        while left:
            block = self._file.read(min(left, _BLOCK_BYTES))
            if not block:
                raise OSError("the file is shorter than its journal says")
            self._hash.update(block)
            left -= len(block)

    def append(self, data: bytes | memoryview) -> None:
        """Writes all of `data`."""
        left = memoryview(data)
        self._hash.update(left)
        self.position += left.nbytes
        while left.nbytes:
            left = left[self._file.write(left) or 0 :]

    def digest(self) -> str:
        """SHA-256 of everything in the file, in hexadecimal."""
        return self._hash.hexdigest()

    def sync(self) -> None:
        """Returns when the bytes are on the disk."""
        sync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def sync_folder(folder: Path) -> None:
    """Makes renames and new names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def hash_file(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_durably(path: Path, data: bytes) -> None:
    """Replaces `path` by `data` in one step: after a crash it holds the old bytes or the new ones."""
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        sync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)
