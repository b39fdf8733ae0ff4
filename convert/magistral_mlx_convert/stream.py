"""The pipeline: one thread reads rows, the caller's thread converts them, one thread writes and hashes.

Memory is bounded whatever the model's size: a few buffers of `CHUNK_BYTES`, their results on the way to the
disk, and the scales of one tensor, which are stored after its codes. Progress is made durable at least every
`MARK_BYTES` of output.
"""

import math
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from threading import Thread

from magistral_mlx.errors import ConversionError
from magistral_mlx.safetensors_header import ITEM_BYTES
from magistral_mlx_convert import journal
from magistral_mlx_convert.journal import Finished, Mark, Progressed
from magistral_mlx_convert.kernel import Buffer, convert_rows, small_allocator_cache
from magistral_mlx_convert.plan import SAFETENSORS_DTYPE, Plan, Shard, Unit
from magistral_mlx_convert.progress import Progress, Stage
from magistral_mlx_convert.shard_file import ShardFile, sync_folder
from magistral_mlx_convert.sources.source import Source

CHUNK_BYTES = 32 << 20
"""Source bytes that are converted at a time. The output does not depend on it."""

BUFFERS = 3
"""One being read, one being converted, one between them."""

MARK_BYTES = 64 << 20


@dataclass(frozen=True)
class _Rows:
    """Rows of one parameter that lie in a buffer."""

    unit: Unit
    first: int
    rows: int
    buffer: Buffer


def stream(
    plan: Plan,
    source: Source,
    folder: Path,
    journal_folder: Path,
    progressed: Progressed,
    *,
    measure_every: int,
    progress: Callable[[Progress], None],
) -> Progressed:
    """Writes every shard that `progressed` lacks into `folder`.

    Raises:
        ConversionError: the source can't be read or holds what no checkpoint should, or the target can't be
            written. What was made durable until then stays.
    """
    job = _Job(plan, source, folder, journal_folder, progressed, measure_every, progress)
    with small_allocator_cache():
        return job.run()


class _Job:
    def __init__(
        self,
        plan: Plan,
        source: Source,
        folder: Path,
        journal_folder: Path,
        progressed: Progressed,
        measure_every: int,
        progress: Callable[[Progress], None],
    ) -> None:
        self.plan, self.source, self.progress = plan, source, progress
        self.dtype = SAFETENSORS_DTYPE[plan.recipe.dtype]
        self.measure_every = measure_every
        self.open_shards = [shard for shard in plan.shards if shard.file not in progressed.finished]
        self.writer = _Writer(folder, journal_folder, progressed)
        kept = [unit for shard in plan.shards for unit in shard.units[: self._units_kept(shard, progressed)]]
        self.kept_bytes = sum(unit.source_bytes for unit in kept)
        self.bytes_done, self.tensors_done = self.kept_bytes, len(kept)

    def run(self) -> Progressed:
        buffer_bytes = max([_chunk_rows(unit) * _row_bytes(unit) for unit in self._open_units()] or [1])
        reader = _Reader(self.source, self._work(), buffers=[Buffer(buffer_bytes) for _ in range(BUFFERS)])
        self._report()
        reader.start()
        self.writer.start()
        try:
            for shard in self.open_shards:
                self._convert_shard(shard, reader)
            self.writer.finish()
        finally:
            reader.stop()
            self.writer.stop()
        return self.writer.progressed

    def _convert_shard(self, shard: Shard, reader: "_Reader") -> None:
        skip = self._units_kept(shard, self.writer.progressed)
        self.writer.put(_Open(shard, skip))
        for unit in shard.units[skip:]:
            self._convert_unit(unit, reader)
        self.writer.put(_Close(shard))

    def _convert_unit(self, unit: Unit, reader: "_Reader") -> None:
        """Codes go out chunk by chunk; scales and biases, a ninth of the bytes, wait for the tensor's end."""
        later: list[list[memoryview]] = [[] for _ in unit.outputs[1:]]
        noise, signal = array("d"), array("d")
        for _ in range(_chunk_count(unit)):
            chunk = reader.next()
            (codes, *rest), measured = convert_rows(
                unit,
                chunk.buffer,
                dtype=self.dtype,
                first=chunk.first,
                rows=chunk.rows,
                measure_every=self.measure_every,
            )
            reader.release(chunk.buffer)
            self.writer.put(codes)
            for waiting, piece in zip(later, rest, strict=True):
                waiting.append(piece)
            noise.extend(measured.noise)
            signal.extend(measured.signal)
            self.bytes_done += chunk.rows * _row_bytes(unit)
            self._report()
        for piece in (piece for waiting in later for piece in waiting):
            self.writer.put(piece)
        # fsum is exact, so that the sums too do not depend on the chunks.
        errors = {unit.parameter.name: (math.fsum(noise), math.fsum(signal))} if noise else {}
        self.writer.put(_EndOfUnit(errors))
        self.tensors_done += 1

    def _work(self) -> Iterator[tuple[Unit, int, int]]:
        for unit in self._open_units():
            rows, step = unit.parameter.source.shape[0], _chunk_rows(unit)
            for first in range(0, rows, step):
                yield unit, first, min(step, rows - first)

    def _open_units(self) -> list[Unit]:
        progressed = self.writer.progressed
        return [
            unit for shard in self.open_shards for unit in shard.units[self._units_kept(shard, progressed) :]
        ]

    @staticmethod
    def _units_kept(shard: Shard, progressed: Progressed) -> int:
        if shard.file in progressed.finished:
            return len(shard.units)
        mark = progressed.mark
        return mark.units if mark is not None and mark.file == shard.file else 0

    def _report(self) -> None:
        self.progress(
            Progress(
                stage=Stage.CONVERT,
                bytes_done=self.bytes_done,
                bytes_total=self.plan.source_bytes,
                tensors_done=self.tensors_done,
                tensors_total=len(self.plan.units),
                bytes_kept=self.kept_bytes,
            )
        )


def _row_bytes(unit: Unit) -> int:
    source = unit.parameter.source
    return math.prod(source.shape[1:]) * ITEM_BYTES[source.dtype]


def _chunk_rows(unit: Unit) -> int:
    return min(max(1, CHUNK_BYTES // _row_bytes(unit)), unit.parameter.source.shape[0])


def _chunk_count(unit: Unit) -> int:
    return -(-unit.parameter.source.shape[0] // _chunk_rows(unit))


class _Reader(Thread):
    """Fills free buffers in the order of the work; hands them over, or the error that stopped it."""

    def __init__(
        self, source: Source, work: Iterator[tuple[Unit, int, int]], *, buffers: list[Buffer]
    ) -> None:
        super().__init__(name="convert-reader", daemon=True)
        self._source, self._work = source, list(work)
        self._free: Queue[Buffer | None] = Queue()
        self._full: Queue[_Rows | BaseException] = Queue()
        for buffer in buffers:
            self._free.put(buffer)

    def run(self) -> None:
        try:
            for unit, first, rows in self._work:
                buffer = self._free.get()
                if buffer is None:
                    return
                self._source.read_rows(unit.parameter.source, first, buffer.bytes[: rows * _row_bytes(unit)])
                self._full.put(_Rows(unit, first, rows, buffer))
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, which raises it
            self._full.put(error)

    def next(self) -> _Rows:
        item = self._full.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def release(self, buffer: Buffer) -> None:
        self._free.put(buffer)

    def stop(self) -> None:
        self._free.put(None)
        if self.is_alive():
            self.join()


@dataclass(frozen=True)
class _Open:
    shard: Shard
    skip: int


@dataclass(frozen=True)
class _EndOfUnit:
    errors: journal.Errors


@dataclass(frozen=True)
class _Close:
    shard: Shard


class _Writer(Thread):
    """Appends to one shard after the other and keeps the journal."""

    def __init__(self, folder: Path, journal_folder: Path, progressed: Progressed) -> None:
        super().__init__(name="convert-writer", daemon=True)
        self.progressed = progressed
        self._folder, self._journal_folder = folder, journal_folder
        self._items: Queue[memoryview | _Open | _EndOfUnit | _Close | None] = Queue(maxsize=8)
        self._failure: BaseException | None = None
        self._file: ShardFile | None = None
        self._units = 0
        self._marked = 0
        self._errors: dict[str, tuple[float, float]] = {}

    def put(self, item: "memoryview | _Open | _EndOfUnit | _Close") -> None:
        """Queues work; raises what an earlier item failed with."""
        self._raise_failure()
        self._items.put(item)

    def finish(self) -> None:
        """Returns when everything is on the disk."""
        self.stop()
        self._raise_failure()

    def stop(self) -> None:
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

    def _take(self, item: "memoryview | _Open | _EndOfUnit | _Close") -> None:
        if isinstance(item, _Open):
            self._open(item)
            return
        file = self._file
        if file is None:
            raise RuntimeError("no shard is open")
        if isinstance(item, memoryview):
            file.append(item)
        elif isinstance(item, _EndOfUnit):
            self._units += 1
            self._errors.update(item.errors)
            if file.position - self._marked >= MARK_BYTES:
                self._mark(file, self._open_name)
        else:
            self._close(item.shard, file)

    def _open(self, item: _Open) -> None:
        mark = self.progressed.mark
        kept = mark.nbytes if mark is not None and item.skip else 0
        self._open_name = item.shard.file
        self._errors = dict(mark.errors) if mark is not None and item.skip else {}
        self._units, self._marked = item.skip, kept
        self._file = ShardFile(self._folder / item.shard.file, keep=kept)
        if not kept:
            self._file.append(item.shard.header)
            sync_folder(self._folder)

    def _mark(self, file: ShardFile, name: str) -> None:
        file.sync()
        self._marked = file.position
        mark = Mark(
            file=name,
            units=self._units,
            nbytes=file.position,
            sha256=file.digest(),
            errors=dict(self._errors),
        )
        self.progressed = self.progressed.with_mark(mark)
        journal.save(self._journal_folder, self.progressed)

    def _close(self, shard: Shard, file: ShardFile) -> None:
        file.sync()
        file.close()
        self._file = None
        if file.position != shard.nbytes:
            raise RuntimeError(f"{shard.file} has {file.position} bytes instead of {shard.nbytes}")
        finished = Finished(nbytes=file.position, sha256=file.digest(), errors=dict(self._errors))
        self.progressed = self.progressed.with_finished(shard.file, finished)
        journal.save(self._journal_folder, self.progressed)


def explain_os_error(error: OSError, where: Path) -> tuple[str, str]:
    """Problem and remedy for a failed write."""
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"The disk of {where.parent.parent} is full",
            "Free some space and run the same command again.",
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return (
            f"{error.filename or where} can't be written: {error.strerror}",
            "Choose another folder with --to.",
        )
    return (
        f"{error.filename or where} can't be written: {error.strerror}",
        "Check the disk and run the same command again.",
    )
