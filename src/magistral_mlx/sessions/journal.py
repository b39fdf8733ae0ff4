"""The file behind a conversation: it only grows, belongs to one process at a time, and never loses a record.

Records that cannot be written (a full disk, a missing folder) stay in memory; every later record and `retry`
try again, and `trouble` tells why. If the process dies within a record, that record ends at the next newline,
and readers skip it.
"""

import errno
import fcntl
import os
import stat
from pathlib import Path

from magistral_mlx.errors import SessionError
from magistral_mlx.sessions.records import Record, decode, encode
from magistral_mlx.storage.atomic import open_regular

_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
"""Errors of file systems without locks; conversations work there too."""


class Journal:
    """Append records to the file at `path`; the first record creates it.

    Raises:
        SessionError: another process has it open, or it cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trouble = ""
        """Why the last records are not on the disk yet, in words; empty if all are."""
        self._unwritten = bytearray()
        self._descriptor: int | None = None
        if path.exists():
            try:
                self._open()
            except OSError as error:
                raise SessionError(
                    f"The conversation {path.stem} cannot be opened for writing ({error.strerror})",
                    f"Check the permissions of {path}.",
                ) from error

    @property
    def unwritten(self) -> int:
        """Bytes that are only in memory."""
        return len(self._unwritten)

    def append(self, record: Record) -> None:
        """Write `record`; never raises, see `trouble`."""
        self._unwritten += encode(record)
        self.retry()

    def retry(self) -> None:
        """Write the records that could not be written before."""
        if not self._unwritten:
            return
        try:
            if self._descriptor is None:
                self._open()
            self._write()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self.trouble = (
                f"{reason}: the conversation is kept in memory and will be saved as soon as possible"
            )
        except SessionError as error:
            self.trouble = str(error)
        else:
            self.trouble = ""

    def sync(self) -> None:
        """Sync to disk against a power failure; slow, safe in a thread."""
        try:
            # A separate descriptor: a duplicate would hold the lock beyond `close`.
            own = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(own)
            finally:
                os.close(own)
        except OSError:  # the next record fails too, and tells
            return

    def close(self) -> None:
        """Write the rest and release the file."""
        self.retry()
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _open(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", str(self.path))
            _lock(descriptor, self.path)
            if not _ends_with_newline(descriptor):
                self._unwritten[:0] = b"\n"  # the broken record stays as it is; the next one begins a line
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def _write(self) -> None:
        while self._unwritten and self._descriptor is not None:
            written = os.write(self._descriptor, self._unwritten)
            del self._unwritten[:written]


def read_records(path: Path) -> tuple[list[Record], int]:
    """Return the records of the file at `path`, and the number of its damaged or unknown lines.

    Raises:
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        lines = [line for line in file.read().split(b"\n") if line.strip()]
    records = [record for line in lines if (record := decode(line)) is not None]
    return records, len(lines) - len(records)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return
        raise SessionError(
            f"The conversation {path.stem} is open in another window", "Close it there, then try again."
        ) from error


def _ends_with_newline(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
