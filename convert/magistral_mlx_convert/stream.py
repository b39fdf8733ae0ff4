"""The pipeline: one thread reads rows, the caller's thread converts them, one thread writes and hashes.

Memory is bounded whatever the model's size: a few buffers of `CHUNK_BYTES`, their results on the way to the
disk, and the scales of one tensor, which are stored after its codes.
"""

import math
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from threading import Thread

from magistral_mlx.safetensors_header import ITEM_BYTES
from magistral_mlx_convert.journal import Progressed
from magistral_mlx_convert.kernel import Buffer, convert_rows, small_allocator_cache
from magistral_mlx_convert.plan import SAFETENSORS_DTYPE, Plan, Shard, Unit
from magistral_mlx_convert.progress import Progress, Stage
from magistral_mlx_convert.shard_writer import CloseShard, EndOfUnit, OpenShard, ShardWriter
from magistral_mlx_convert.sources.source import Source

CHUNK_BYTES = 32 << 20
"""Source bytes that are converted at a time. The output does not depend on it."""

BUFFERS = 3
"""One being read, one being converted, one between them."""


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
        self.mark = progressed.mark
        self.writer = ShardWriter(folder, journal_folder, progressed)
        finished = [shard.units for shard in plan.shards if shard.file in progressed.finished]
        marked = [shard.units[: self._units_marked(shard)] for shard in self.open_shards]
        kept = [unit for units in finished + marked for unit in units]
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
        marked = self._units_marked(shard)
        self.writer.put(OpenShard(shard, self.mark if marked else None))
        for unit in shard.units[marked:]:
            self._convert_unit(unit, reader)
        self.writer.put(CloseShard(shard))

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
        self.writer.put(EndOfUnit(errors))
        self.tensors_done += 1

    def _work(self) -> Iterator[tuple[Unit, int, int]]:
        for unit in self._open_units():
            rows, step = unit.parameter.source.shape[0], _chunk_rows(unit)
            for first in range(0, rows, step):
                yield unit, first, min(step, rows - first)

    def _open_units(self) -> list[Unit]:
        return [unit for shard in self.open_shards for unit in shard.units[self._units_marked(shard) :]]

    def _units_marked(self, shard: Shard) -> int:
        """How many parameters of an unfinished shard an earlier run had made durable."""
        return self.mark.units if self.mark is not None and self.mark.file == shard.file else 0

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
