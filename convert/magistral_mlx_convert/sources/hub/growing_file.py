"""A file that a download is appended to, hashed while it grows."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from magistral_mlx_convert.sources.hub.checksums import Cancelled, Checksum

_BLOCK_BYTES = 1 << 22


class GrowingFile:
    """Appends to `path`. Bytes that the file held before are kept, and hashed first.

    Args:
        path: created or continued; never a link.
        size: its size when complete; a longer file is begun anew.
        tell_bytes: called with the bytes added since it was opened.

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

    def __enter__(self) -> "GrowingFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        """Append and hash all of `data`."""
        self._give_up_if_cancelled()
        left = memoryview(data)
        self._hash.update(left)
        while left.nbytes:
            left = left[self._file.write(left) or 0 :]
        self._tell_bytes(self._file.tell() - self._kept)

    def restart(self) -> None:
        """Drop everything written so far."""
        self._hash, self._kept = self._checksum.begin(self._size), 0
        self._file.truncate(0)
        self._file.seek(0)

    def tell(self) -> int:
        """Bytes in the file."""
        return self._file.tell()

    def has_arrived(self) -> bool:
        """Tell if the file has its checksum."""
        return self._hash.hexdigest() == self._checksum.digest

    def _give_up_if_cancelled(self) -> None:
        if self._cancelled():
            raise Cancelled
