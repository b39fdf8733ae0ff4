"""The writing thread: appends to one shard after the other, makes progress durable, keeps the journal."""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from threading import Thread

from magistral_mlx.errors import ConversionError
from magistral_mlx.storage.atomic import sync_folder
from magistral_mlx_convert.planning.plan import Shard
from magistral_mlx_convert.writing import journal
from magistral_mlx_convert.writing.journal import Errors, Finished, Mark, Progressed
from magistral_mlx_convert.writing.shard_file import ShardFile

MARK_BYTES = 64 << 20
"""Progress is made durable at the first border between two parameters after so much output.

The first parameter is synced at once. Even a short run then makes progress.
"""

_QUEUED = 4
"""Pieces that may wait for the disk; the rest of the pipeline waits then."""


@dataclass(frozen=True)
class OpenShard:
    """Begins a file, or continues it behind a mark."""

    shard: Shard
    mark: Mark | None


@dataclass(frozen=True)
class EndOfUnit:
    """All bytes of one parameter are queued; `errors` were measured on it.

    `settle`: make it durable at once, because a file of the source can then be deleted.
    """

    errors: Errors
    settle: bool = False


@dataclass(frozen=True)
class CloseShard:
    """All parameters of the open shard are queued."""

    shard: Shard


Item = memoryview | OpenShard | EndOfUnit | CloseShard


class ShardWriter(Thread):
    """Take bytes and borders in the order of the file.

    Args:
        durable: called from this thread with the number of parameters that this run has made durable.

    Attributes:
        progressed: what is durable; complete after `finish`.
    """

    def __init__(
        self,
        folder: Path,
        journal_folder: Path,
        progressed: Progressed,
        *,
        durable: Callable[[int], None],
    ) -> None:
        super().__init__(name="convert-writer", daemon=True)
        self.progressed = progressed
        self._folder, self._journal_folder, self._durable = folder, journal_folder, durable
        self._units_written = 0
        self._items: Queue[Item | None] = Queue(maxsize=_QUEUED)
        self._failure: BaseException | None = None
        self._file: ShardFile | None = None
        self._name = ""
        self._units_of_shard = 0
        self._durable_bytes = 0
        self._errors: dict[str, tuple[float, float]] = {}

    def put(self, item: Item) -> None:
        """Queues work; raises what an earlier item failed with.

        Raises:
            ConversionError: the disk is full or can't be written.
        """
        self._raise_failure()
        self._items.put(item)

    def finish(self) -> None:
        """Returns when everything is on the disk. Raises as `put` does."""
        self.stop()
        self._raise_failure()

    def stop(self) -> None:
        """Writes what is queued and ends the thread."""
        if self.is_alive():
            self._items.put(None)
            self.join()

    def _raise_failure(self) -> None:
        if isinstance(self._failure, OSError):
            raise ConversionError(*explain_os_error(self._failure, self._folder)) from self._failure
        if self._failure is not None:
            raise self._failure

    def run(self) -> None:
        while (item := self._items.get()) is not None:
            if self._failure is not None:
                continue  # drained, so that the caller is never blocked by a full queue
            try:
                self._take(item)
            except BaseException as error:  # noqa: BLE001 - kept for the caller's thread, which raises it
                self._failure = error
        if self._file is not None:
            self._file.close()

    def _take(self, item: Item) -> None:
        if isinstance(item, OpenShard):
            self._open(item.shard, item.mark)
            return
        if self._file is None:
            raise RuntimeError("no shard is open")
        if isinstance(item, memoryview):
            self._file.append(item)
        elif isinstance(item, EndOfUnit):
            self._units_of_shard += 1
            self._units_written += 1
            self._errors.update(item.errors)
            due = self._units_written == 1 or self._file.position - self._durable_bytes >= MARK_BYTES
            if item.settle or due:
                self._mark(self._file)
        else:
            self._close(item.shard, self._file)

    def _open(self, shard: Shard, mark: Mark | None) -> None:
        self._name = shard.file
        self._units_of_shard = mark.units if mark else 0
        self._durable_bytes = mark.nbytes if mark else 0
        self._errors = dict(mark.errors) if mark else {}
        self._file = ShardFile(self._folder / shard.file, keep=self._durable_bytes)
        if mark is None:
            self._file.append(shard.header)
            sync_folder(self._folder)

    def _mark(self, file: ShardFile) -> None:
        file.sync()
        self._durable_bytes = file.position
        mark = Mark(
            file=self._name,
            units=self._units_of_shard,
            nbytes=file.position,
            sha256=file.digest(),
            errors=dict(self._errors),
        )
        self._save(self.progressed.with_mark(mark))

    def _close(self, shard: Shard, file: ShardFile) -> None:
        file.sync()
        file.close()
        self._file = None
        if file.position != shard.nbytes:
            raise RuntimeError(f"{shard.file} has {file.position} bytes instead of {shard.nbytes}")
        finished = Finished(nbytes=file.position, sha256=file.digest(), errors=dict(self._errors))
        self._save(self.progressed.with_finished(shard.file, finished))

    def _save(self, progressed: Progressed) -> None:
        self.progressed = progressed
        journal.save(self._journal_folder, progressed)
        self._durable(self._units_written)


def explain_os_error(error: OSError, folder: Path) -> tuple[str, str]:
    """Problem and remedy for a failed write into `folder`, which is the hidden one of a workplace."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"The disk of {folder.parent.parent} is full",
            "Free some space and run the same command again.",
        )
    problem = f"{error.filename or folder} can't be written: {error.strerror}"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return problem, "Choose another folder with --to."
    return problem, "Check the disk and run the same command again."
