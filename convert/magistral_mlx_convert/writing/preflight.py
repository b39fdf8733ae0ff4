"""Say what a conversion will take before any work, and refuse it where the machine lacks it.

Sizes are exact: the plan fixes them. Memory is the pipeline's buffers and the chunks between its threads.
Time is a range, from converting a few megabytes and writing a few more here and now. A download comes on top.
"""

import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from magistral_mlx.errors import ConversionError
from magistral_mlx.memory.sizes import this_machine
from magistral_mlx.storage.atomic import sync
from magistral_mlx.storage.units import format_disk, format_memory, format_rate
from magistral_mlx_convert.planning.automatic import Choice, automatic_recipe
from magistral_mlx_convert.planning.plan import SAFETENSORS_DTYPE, Plan, make_plan
from magistral_mlx_convert.planning.recipe import Recipe
from magistral_mlx_convert.sources.hub.arrivals import peak_bytes, supply_of
from magistral_mlx_convert.sources.mapping import WeightMap
from magistral_mlx_convert.sources.source import Source
from magistral_mlx_convert.system import SPARE_BYTES
from magistral_mlx_convert.writing.kernel import Buffer, backend, convert_rows
from magistral_mlx_convert.writing.resume import Earlier
from magistral_mlx_convert.writing.staging import Workplace
from magistral_mlx_convert.writing.stream import BUFFERS, buffer_bytes_of, needs, open_units, row_bytes

_CHUNKS_BETWEEN = 3
"""Converted and on their way to the disk, or copied where nothing is quantized; in chunks of the source."""

_PROGRAM_BYTES = 120 << 20
"""Python, MLX and the libraries, before the first buffer."""

_SAMPLE_BYTES = 4 << 20
_WRITTEN_BYTES = 32 << 20
"""Written, flushed and deleted to measure the disk; less for a smaller result."""

_LINK_BITS = {"100 Mbit/s": 100e6, "1 Gbit/s": 1e9}


@dataclass(frozen=True)
class CalibrationCost:
    """What calibrating adds: estimated from sizes and from work that was measured here and now."""

    tokens: int
    memory_bytes: int
    disk_bytes: int
    seconds: float


@dataclass(frozen=True)
class Preflight:
    """Bytes are exact but for `memory_needed`; None where the machine does not say."""

    source: str
    source_bytes: int
    """Bytes of the rows as the source delivers them."""
    stored_bytes: int
    """Bytes in the source's files."""
    source_files: int
    tensors: int
    to_fetch: int
    target: str
    recipe: str
    output_bytes: int
    output_files: int
    kept_bytes: int
    disk_needed: int
    disk_free: int
    memory_needed: int
    memory_available: int | None
    bytes_per_second: float
    """Source bytes that this machine converts."""
    disk_bytes_per_second: float
    """Bytes that the target's disk takes."""
    calibration_tokens: int = 0
    """0 where nothing is calibrated."""
    calibration_seconds: float = 0.0
    """Seconds to run the model on these tokens and to choose codes."""

    @property
    def seconds(self) -> tuple[float, float]:
        """Least and most time, without a download.

        Least: converting and writing at the same time. Most: reading, converting and writing one after the
        other, reading at the speed of writing.
        """
        left = 1 - self.kept_bytes / self.output_bytes
        convert = left * (self.source_bytes / self.bytes_per_second + self.calibration_seconds)
        write = left * self.output_bytes / self.disk_bytes_per_second
        read = left * self.stored_bytes / self.disk_bytes_per_second
        return max(convert, write), convert + write + read

    def lines(self) -> list[str]:
        """Write it for people, one fact a line."""
        available = (
            "" if self.memory_available is None else f", {format_memory(self.memory_available)} available"
        )
        kept = f"; {format_disk(self.kept_bytes)} of it are there already" if self.kept_bytes else ""
        fetch = f"; {format_disk(self.to_fetch)} to fetch" if self.to_fetch else ""
        files = "all files of the source" if self.calibration_tokens else "one file of the source at a time"
        beside = f" for the result and {files}" if self.to_fetch else ""
        return [
            f"Source: {self.source}, {format_disk(self.stored_bytes)} in {_files(self.source_files)}, "
            f"{self.tensors} tensors{fetch}",
            f"Result: {self.target}, {format_disk(self.output_bytes)} in {_files(self.output_files)}, "
            f"recipe {self.recipe}{kept}",
            f"Disk: {format_disk(self.disk_needed)} needed{beside}, {format_disk(self.disk_free)} free",
            f"Memory: {format_memory(self.memory_needed)} needed{available}",
            f"Time: {_span(*self.seconds)}, converting {format_rate(self.bytes_per_second)} and writing "
            f"{format_rate(self.disk_bytes_per_second)}{self._calibrating()}{self._fetching()}",
        ]

    def _calibrating(self) -> str:
        if not self.calibration_tokens:
            return ""
        seconds, tokens = _minutes(self.calibration_seconds), self.calibration_tokens
        return f"; the calibration on {tokens} tokens takes {seconds} of it"

    def _fetching(self) -> str:
        if not self.to_fetch:
            return ""
        times = [f"{_minutes(8 * self.to_fetch / bits)} at {link}" for link, bits in _LINK_BITS.items()]
        return f"; fetching at the same time takes {' or '.join(times)}"

    def check(self) -> None:
        """Raise ConversionError where disk or memory do not suffice."""
        if self.disk_free < self.disk_needed:
            raise ConversionError(
                f"The disk of {self.target} has {format_disk(self.disk_free)} free, "
                f"but the conversion needs {format_disk(self.disk_needed)}",
                "Free some space, or choose a folder on another disk with --to.",
            )
        if self.memory_available is not None and self.memory_available < self.memory_needed:
            raise ConversionError(
                f"Only {format_memory(self.memory_available)} of memory is free, "
                f"but the conversion needs {format_memory(self.memory_needed)}",
                "Close some programs and run the same command again.",
            )


def preflight(
    plan: Plan,
    source: Source,
    workplace: Workplace,
    *,
    earlier: Earlier,
    calibration: CalibrationCost | None = None,
) -> Preflight:
    """Look at the plan, the machine and the disk, and measure both. A measurement leaves nothing behind.

    Raises:
        OSError: the target's disk can't be written.
    """
    ahead = needs(open_units(plan, earlier.progressed), plan)
    arriving = supply_of(source)
    peak = arriving.peak_bytes(ahead) if arriving is not None else peak_bytes(ahead, {})
    headers = plan.output_bytes - sum(unit.output_bytes for unit in plan.units)
    free = shutil.disk_usage(workplace.target.parent).free
    revision = f" at {source.provenance.revision[:12]}" if source.provenance.revision else ""
    return Preflight(
        source=f"{source.provenance.name}{revision}",
        source_bytes=plan.source_bytes,
        stored_bytes=plan.bytes_in_source,
        source_files=len({unit.parameter.source.file for unit in plan.units}),
        tensors=len(plan.units),
        to_fetch=arriving.fetch_bytes(ahead) if arriving is not None else 0,
        target=str(workplace.target),
        recipe=plan.recipe.name,
        output_bytes=plan.output_bytes,
        output_files=len(plan.shards),
        kept_bytes=earlier.nbytes,
        disk_needed=peak + headers + SPARE_BYTES + (calibration.disk_bytes if calibration else 0),
        # An earlier run's bytes behind its last mark are cut off when this one starts.
        disk_free=free + max(_bytes_in(workplace.model) - earlier.nbytes, 0),
        memory_needed=pipeline_bytes(plan) + (calibration.memory_bytes if calibration else 0),
        memory_available=this_machine().available_bytes,
        bytes_per_second=conversion_speed(plan),
        disk_bytes_per_second=disk_speed(
            workplace.target.parent, nbytes=min(_WRITTEN_BYTES, plan.output_bytes, free // 4)
        ),
        calibration_tokens=calibration.tokens if calibration else 0,
        calibration_seconds=calibration.seconds if calibration else 0.0,
    )


def recipe_for_this_machine(plan: Plan, source: Source, free_bytes: int) -> Choice:
    """Choose a recipe by GPU, memory and disk.

    Args:
        plan: a plan for the same source; its recipe does not matter, its dtype does.
        source: what is converted.
        free_bytes: that the target's disk has for it.
    """
    weights = WeightMap(parameters=tuple(unit.parameter for unit in plan.units), dropped={})

    def planned(recipe: Recipe) -> Plan:
        return make_plan(plan.config, weights, recipe)

    def has_room(recipe: Recipe) -> bool:
        arriving, wanted = supply_of(source), planned(recipe)
        return arriving is None or arriving.peak_bytes(needs(wanted.units, wanted)) <= free_bytes

    return automatic_recipe(
        lambda recipe: planned(recipe).output_bytes,
        dtype=plan.recipe.dtype,
        has_gpu=backend() != "cpu",
        memory_bytes=this_machine().total_bytes,
        has_room=has_room,
    )


def pipeline_bytes(plan: Plan) -> int:
    """Memory that converting takes, the program itself included: an upper estimate."""
    chunk = buffer_bytes_of(plan.units)
    # Scales and biases of one tensor wait for its codes.
    waiting = max(sum(output.nbytes for output in unit.outputs[1:]) for unit in plan.units)
    return _PROGRAM_BYTES + (BUFFERS + _CHUNKS_BETWEEN) * chunk + 2 * waiting


def conversion_speed(plan: Plan) -> float:
    """Source bytes per second that this machine converts, from a few megabytes of the largest parameter."""
    unit = max(plan.units, key=lambda unit: (unit.packing is not None, unit.source_bytes))
    rows = min(max(1, _SAMPLE_BYTES // row_bytes(unit)), unit.parameter.source.shape[0])
    nbytes = rows * row_bytes(unit)
    buffer = Buffer(nbytes)
    # Any finite pattern does, and this one is finite in every dtype.
    buffer.bytes[:nbytes] = bytes(range(32, 64)) * (nbytes // 32) + bytes(nbytes % 32)
    seconds: list[float] = []
    for _ in range(3):
        started = time.perf_counter()
        convert_rows(
            unit, buffer, dtype=SAFETENSORS_DTYPE[plan.recipe.dtype], first=0, rows=rows, measure_every=rows
        )
        seconds.append(time.perf_counter() - started)
    return nbytes / max(min(seconds), 1e-9)


def disk_speed(folder: Path, *, nbytes: int) -> float:
    """Bytes per second that the disk of `folder` takes, from writing and flushing `nbytes`."""
    block = os.urandom(1 << 20)  # some file systems compress
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        started = time.perf_counter()
        for start in range(0, nbytes, len(block)):
            file.write(block[: nbytes - start])
        sync(file.fileno())
        return max(nbytes, 1) / max(time.perf_counter() - started, 1e-9)


def _bytes_in(folder: Path) -> int:
    """Disk that the files directly in `folder` take; 0 where it is missing."""
    if not folder.is_dir():
        return 0
    return sum(path.lstat().st_blocks * 512 for path in folder.iterdir())


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _span(least: float, most: float) -> str:
    shortest, longest = _minutes(least), _minutes(most)
    return f"about {longest}" if shortest == longest else f"{shortest} to {longest}"


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"
