"""A file that a download is appended to, hashed while it grows."""

import io
from collections.abc import Callable
from pathlib import Path

from magistral_mlx_convert.sources.hub.checksums import Cancelled, Checksum

_BLOCK_BYTES = 1 << 22


class GrowingFile(io.BytesIO):
    """What a download library writes to. What the file held before is kept, and hashed first.

    It is a `BytesIO` in type alone, as the library asks for a binary file; nothing is held in memory.

    Args:
        path: created, or continued.
        size: what it will have in the end; a longer one is begun anew.
        tell_bytes: called with the bytes that were added since it was opened.

    Raises:
        OSError: it can't be read or written.
        Cancelled: `cancelled` said so, at the opening or a write.
    """

    def __init__(
        self,
        path: Path,
        *,
        size: int,
        checksum: Checksum,
        cancelled: Callable[[], bool],
        tell_bytes: Callable[[int], None],
    ) -> None:
        super().__init__()
        self._checksum, self._size = checksum, size
        self._cancelled, self._tell_bytes = cancelled, tell_bytes
        self._hash = checksum.begin(size)
        # Appends wherever the position is; unbuffered, so that what is hashed is what is written.
        self._file = path.open("a+b", buffering=0)
        try:
            if self._file.seek(0, 2) > size:
                self._file.truncate(0)
            self._file.seek(0)
            while block := self._file.read(_BLOCK_BYTES):
                self._give_up_if_cancelled()
                self._hash.update(block)
        except BaseException:
            self._file.close()
            raise
        self._kept = self._file.tell()

    def write(self, data: "bytes | memoryview", /) -> int:  # type: ignore[override]  # any buffer is more than is needed
        """Appends and hashes all of `data`."""
        self._give_up_if_cancelled()
        left = memoryview(data)
        self._hash.update(left)
        while left.nbytes:
            left = left[self._file.write(left) or 0 :]
        self._tell_bytes(self._file.tell() - self._kept)
        return len(data)

    def seek(self, position: int, whence: int = 0, /) -> int:
        """Only back to the start: a server that ignores ranges begins anew."""
        if position or whence:
            raise ValueError("a download is only appended to")
        self._hash, self._kept = self._checksum.begin(self._size), 0
        return self._file.seek(0)

    def tell(self) -> int:
        return self._file.tell()

    def truncate(self, size: int | None = None, /) -> int:
        return self._file.truncate(size)

    def close(self) -> None:
        self._file.close()
        super().close()

    def has_arrived(self) -> bool:
        """Whether the file is what the checksum says."""
        return self._hash.hexdigest() == self._checksum.digest

    def _give_up_if_cancelled(self) -> None:
        if self._cancelled():
            raise Cancelled
