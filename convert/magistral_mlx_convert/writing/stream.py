"""The pipeline: one thread reads rows, the caller's thread converts them, one thread writes and hashes.

Memory is bounded whatever the model's size: a few buffers of `CHUNK_BYTES`, their results on the way to the
disk, and the scales of one tensor, which are stored after its codes.
"""

import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from threading import Thread

from magistral_mlx.checkpoint.safetensors_header import ITEM_BYTES
from magistral_mlx_convert.planning.plan import SAFETENSORS_DTYPE, Plan, Shard, Unit
from magistral_mlx_convert.progress.events import Progress, Stage
from magistral_mlx_convert.sources.hub.arrivals import Fetched, Need, supply_of
from magistral_mlx_convert.sources.source import Source
from magistral_mlx_convert.writing.journal import Mark, Progressed
from magistral_mlx_convert.writing.kernel import (
    Buffer,
    Quantize,
    convert_rows,
    plainly_quantized,
    small_allocator_cache,
)
from magistral_mlx_convert.writing.shard_writer import CloseShard, EndOfUnit, OpenShard, ShardWriter

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
    quantize: Quantize = plainly_quantized,
) -> Progressed:
    """Write every shard that `progressed` lacks into `folder`.

    Raises:
        ConversionError: the source can't be read or holds what no checkpoint should, or the target can't be
            written. What was made durable until then stays.
    """
    pipeline = _Pipeline(plan, source, folder, journal_folder, progressed, measure_every, progress, quantize)
    with small_allocator_cache():
        return pipeline.run()


class _Pipeline:
    def __init__(
        self,
        plan: Plan,
        source: Source,
        folder: Path,
        journal_folder: Path,
        progressed: Progressed,
        measure_every: int,
        progress: Callable[[Progress], None],
        quantize: Quantize,
    ) -> None:
        self.plan, self.source, self.progress = plan, source, progress
        self.quantize = quantize
        self.dtype = SAFETENSORS_DTYPE[plan.recipe.dtype]
        self.measure_every = measure_every
        self.mark = progressed.mark
        self.open_shards = [shard for shard in plan.shards if shard.file not in progressed.finished]
        self.open_units = open_units(plan, progressed)
        self.arriving = supply_of(source)
        self.fetched = Fetched()
        self.writer = ShardWriter(folder, journal_folder, progressed, durable=self._durable)
        left = {unit.parameter.name for unit in self.open_units}
        earlier = [unit for unit in plan.units if unit.parameter.name not in left]
        self.earlier_bytes = sum(unit.source_bytes for unit in earlier)
        self.bytes_done, self.tensors_done = self.earlier_bytes, len(earlier)
        last = {unit.parameter.source.file: unit.parameter.name for unit in self.open_units}
        self.last_of_their_files = frozenset(last.values()) if self.arriving is not None else frozenset[str]()

    def run(self) -> Progressed:
        buffer_bytes = buffer_bytes_of(self.open_units)
        reader = _Reader(self.source, self._work(), buffers=[Buffer(buffer_bytes) for _ in range(BUFFERS)])
        self._report()
        if self.arriving is not None:
            self.arriving.expect(needs(self.open_units, self.plan), self._arrived)
        reader.start()
        self.writer.start()
        try:
            for shard in self.open_shards:
                self._convert_shard(shard, reader)
            self.writer.finish()
            self._report()
        finally:
            if self.arriving is not None:
                self.arriving.cancel()
            reader.stop()
            self.writer.stop()
        return self.writer.progressed

    def _convert_shard(self, shard: Shard, reader: "_Reader") -> None:
        marked = units_marked(shard, self.mark)
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
                quantize=self.quantize,
            )
            reader.release(chunk.buffer)
            self.writer.put(codes)
            for waiting, piece in zip(later, rest, strict=True):
                waiting.append(piece)
            noise.extend(measured.noise)
            signal.extend(measured.signal)
            self.bytes_done += chunk.rows * row_bytes(unit)
            self._report()
        for piece in (piece for waiting in later for piece in waiting):
            self.writer.put(piece)
        # fsum is exact: the sums do not depend on the chunks.
        errors = {unit.parameter.name: (math.fsum(noise), math.fsum(signal))} if noise else {}
        self.writer.put(EndOfUnit(errors, settle=unit.parameter.name in self.last_of_their_files))
        self.tensors_done += 1

    def _work(self) -> Iterator[tuple[Unit, int, int]]:
        for unit in self.open_units:
            rows, step = unit.parameter.source.shape[0], _chunk_rows(unit)
            for first in range(0, rows, step):
                yield unit, first, min(step, rows - first)

    def _durable(self, count: int) -> None:
        if self.arriving is not None:
            self.arriving.consumed(count)

    def _arrived(self, fetched: Fetched) -> None:
        """Called from the thread that fetches."""
        if fetched.note:
            self.progress(Progress(stage=Stage.CONVERT, note=fetched.note))
            return
        self.fetched = fetched
        self._report()

    def _report(self) -> None:
        self.progress(
            Progress(
                stage=Stage.CONVERT,
                bytes_done=self.bytes_done,
                bytes_total=self.plan.source_bytes,
                tensors_done=self.tensors_done,
                tensors_total=len(self.plan.units),
                bytes_kept=self.earlier_bytes,
                bytes_fetched=self.fetched.done,
                bytes_to_fetch=self.fetched.total,
            )
        )


def open_units(plan: Plan, progressed: Progressed) -> list[Unit]:
    """The parameters that `progressed` lacks, in the order in which they will be read."""
    open_shards = [shard for shard in plan.shards if shard.file not in progressed.finished]
    return [unit for shard in open_shards for unit in shard.units[units_marked(shard, progressed.mark) :]]


def units_marked(shard: Shard, mark: Mark | None) -> int:
    """Count the parameters of an unfinished shard that an earlier run made durable."""
    return mark.units if mark is not None and mark.file == shard.file else 0


def buffer_bytes_of(units: Sequence[Unit]) -> int:
    """Size of a buffer that holds a chunk of any unit."""
    return max([_chunk_rows(unit) * row_bytes(unit) for unit in units] or [1])


def needs(units: Sequence[Unit], plan: Plan) -> list[Need]:
    """List the reads of a job, for a source that arrives meanwhile.

    A calibration may read every tensor once more, also after an interruption. All files then stay.
    """
    again = plan.units if plan.recipe.calibrated else ()
    return [
        *(Need(tensor=unit.parameter.source, output_bytes=unit.output_bytes) for unit in units),
        *(Need(tensor=unit.parameter.source, output_bytes=0) for unit in again),
    ]


def row_bytes(unit: Unit) -> int:
    """Bytes of one row of the source."""
    source = unit.parameter.source
    return math.prod(source.shape[1:]) * ITEM_BYTES[source.dtype]


def _chunk_rows(unit: Unit) -> int:
    return min(max(1, CHUNK_BYTES // row_bytes(unit)), unit.parameter.source.shape[0])


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
                self._source.read_rows(unit.parameter.source, first, buffer.bytes[: rows * row_bytes(unit)])
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
