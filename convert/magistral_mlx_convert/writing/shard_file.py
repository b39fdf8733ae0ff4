"""One growing output file: append only, hashed while it grows, resumable at a synced position."""

import hashlib
from pathlib import Path
from typing import BinaryIO

from magistral_mlx.storage.atomic import sync

_BLOCK_BYTES = 1 << 22


class ShardFile:
    """Appends to `path`.

    Args:
        path: created, or continued.
        keep: bytes of an earlier run to keep; the rest is cut off. They are read again for `digest`.
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
        """Write all of `data`."""
        left = memoryview(data)
        self._hash.update(left)
        self.position += left.nbytes
        while left.nbytes:
            left = left[self._file.write(left) or 0 :]

    def digest(self) -> str:
        """SHA-256 of everything in the file, in hexadecimal."""
        return self._hash.hexdigest()

    def sync(self) -> None:
        """Return when the bytes are on the disk."""
        sync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
