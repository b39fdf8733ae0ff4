"""The file behind a conversation: it only grows, belongs to one process at a time, and never loses a record.

What cannot be written (a full disk, a folder that is gone) is kept in memory and tried again with every later
record and with `retry`; `trouble` says so in words. A record that was cut off by a death of the process ends
at the next newline; the reader skips it.
"""

import errno
import fcntl
import os
from pathlib import Path

from magistral_mlx.errors import SessionError
from magistral_mlx.sessions.records import Record, decode, encode

_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
"""What file systems say that have no locks; a conversation must work there as well."""


class Journal:
    """Appends records to the file at `path`, which begins to exist with the first record.

    Raises:
        SessionError: another process has it open, or it cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trouble = ""
        """Why the last records are not on the disk yet, in words; empty when all are."""
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
        """Write `record`; never fails, see `trouble`."""
        self._unwritten += encode(record)
        self.retry()

    def retry(self) -> None:
        """Write what could not be written."""
        if not self._unwritten:
            return
        try:
            if self._descriptor is None:
                self._open()
            self._write()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self.trouble = (
                f"{reason}: the conversation is kept in memory and saved as soon as that is possible"
            )
        except SessionError as error:
            self.trouble = str(error)
        else:
            self.trouble = ""

    def sync(self) -> None:
        """Make the disk keep what was written, also if the power fails; takes a while, safe in a thread."""
        try:
            # Opened on its own: a duplicate would hold the lock longer than `close` lets it be held.
            own = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(own)
            finally:
                os.close(own)
        except OSError:  # what fails here fails at the next record too, which tells
            return

    def close(self) -> None:
        """Write the rest and let other processes have the file."""
        self.retry()
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _open(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            _lock(descriptor, self.path)
            if not _ends_with_newline(descriptor):
                self._unwritten[:0] = b"\n"  # what died here stays as it is; the next record begins a line
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def _write(self) -> None:
        while self._unwritten and self._descriptor is not None:
            written = os.write(self._descriptor, self._unwritten)
            del self._unwritten[:written]


def read_records(path: Path) -> tuple[list[Record], int]:
    """The records of the file at `path`, and how many of its lines are damaged or not understood.

    Raises:
        OSError: it cannot be read.
    """
    lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
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
