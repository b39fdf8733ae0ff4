"""The computation of a conversion: bytes of rows in, bytes of stored rows out, on MLX.

All calls must come from one thread. The output depends on rows only, never on how they were cut into
chunks. CPU and Metal kernels break ties differently, so the same recipe gives slightly different codes there.
"""

# MLX's stubs leave the arguments of eval, reshape and transpose untyped.
# pyright: reportUnknownMemberType=false

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata

import mlx.core as mx
import numpy as np

from magistral_mlx.checkpoint.safetensors_header import ITEM_BYTES
from magistral_mlx.errors import ConversionError
from magistral_mlx_convert.planning.plan import Unit
from magistral_mlx_convert.sources.gguf.rewriting import rewritten

_MLX_DTYPE = {"BF16": mx.bfloat16, "F16": mx.float16, "F32": mx.float32, "U32": mx.uint32, "U8": mx.uint8}

# A float is infinite or not a number exactly when all bits of its exponent are set: as integers, its bits are
# then at least these limits, signed for positive values and unsigned for negative ones. Two integer maxima
# are 20 times faster than mx.isfinite (7.5 against 0.4 GB/s on one core).
_NOT_FINITE = {
    "BF16": (mx.int16, 0x7F80, mx.uint16, 0xFF80),
    "F16": (mx.int16, 0x7C00, mx.uint16, 0xFC00),
    "F32": (mx.int32, 0x7F800000, mx.uint32, 0xFF800000),
}

Quantize = Callable[[Unit, mx.array], Sequence[mx.array]]
"""Rows of a matrix, in the dtype of its scales -> codes, scales and biases, as `mx.quantize` returns them."""

_CACHE_BYTES = 64 << 20
"""Freed buffers that the Metal allocator may keep while converting."""


class SpoiledWeightsError(ConversionError):
    """The source holds a value that no checkpoint should: continuing later would not help."""


@dataclass(frozen=True)
class Measured:
    """Squared error and squared weight of each measured row; `rows` may be a sample."""

    noise: list[float]
    signal: list[float]


class Buffer:
    """Memory that a reader fills as bytes and that MLX computes on, without a copy where it can.

    Args:
        share: look whether an evaluated array hands out its own memory, as it does on the CPU and in unified
            memory. That is not documented upstream, so it is tried, never assumed; where it fails, and with
            False, the bytes are copied (a sixth of the conversion's CPU time).
    """

    def __init__(self, nbytes: int, *, share: bool = True) -> None:
        self._array = mx.zeros((nbytes if share else 1,), mx.uint8)
        mx.eval(self._array)
        self.bytes = _memory(self._array)
        self.bytes[-1] = 0xA5
        self._shared = share and int(self._array[-1]) == 0xA5
        if not self._shared:
            self.bytes = memoryview(bytearray(nbytes))

    def rows(self, dtype: str, shape: tuple[int, ...]) -> mx.array:
        """The first bytes, as an array; valid until the buffer is filled again."""
        nbytes = math.prod(shape) * _MLX_DTYPE[dtype].size
        filled = (
            self._array[:nbytes] if self._shared else mx.array(np.frombuffer(self.bytes[:nbytes], np.uint8))
        )
        return filled.view(_MLX_DTYPE[dtype]).reshape(shape)


def backend() -> str:
    """Return the backend: `cpu`, `metal` or `cuda`. The output depends on it."""
    if mx.default_device() == mx.Device(mx.cpu):
        return "cpu"
    return "metal" if mx.metal.is_available() else "cuda"


def mlx_version() -> str:
    """MLX's version: another one may round differently."""
    return metadata.version("mlx")


@contextmanager
def small_allocator_cache() -> Generator[None]:
    """Keeps the allocator from hoarding freed buffers; gives the process its own limit back."""
    before = mx.set_cache_limit(_CACHE_BYTES)
    try:
        yield
    finally:
        mx.set_cache_limit(before)


def plainly_quantized(unit: Unit, weights: mx.array) -> Sequence[mx.array]:
    """Quantizes with `mx.quantize`."""
    packing = unit.packing
    if packing is None:
        raise ValueError(f"{unit.parameter.name} is not quantized")
    return mx.quantize(weights, packing.group_size, packing.bits, packing.mode)


def convert_rows(
    unit: Unit,
    buffer: Buffer,
    *,
    dtype: str,
    first: int,
    rows: int,
    measure_every: int,
    quantize: Quantize = plainly_quantized,
) -> tuple[list[memoryview], Measured]:
    """Converts `rows` rows of a parameter, from row `first` on, that lie at the start of `buffer`.

    Args:
        dtype: of unquantized weights and of scales, in safetensors' spelling.
        measure_every: measure the quantization error on every row whose number this divides.
        quantize: gives the codes, scales and biases.

    Returns:
        The stored bytes, one piece for each of `unit.outputs`, valid after the buffer is filled again; and
        the measured error (empty where nothing is quantized).

    Raises:
        SpoiledWeightsError: a value is not finite, or does not fit the wanted dtype.
    """
    source = unit.parameter.source
    if unit.blocks is not None:
        return _rewritten_rows(
            unit, unit.blocks, buffer, dtype=dtype, first=first, rows=rows, measure_every=measure_every
        )
    if source.dtype not in _NOT_FINITE:  # packed codes, or scales of one byte
        nbytes = rows * math.prod(source.shape[1:]) * ITEM_BYTES[source.dtype]
        return [memoryview(bytes(buffer.bytes[:nbytes]))], Measured([], [])
    dtype = source.dtype if unit.kept else dtype
    weights = buffer.rows(source.dtype, (rows, *source.shape[1:]))
    if _has_nonfinite(weights, source.dtype):
        row = first + _first_bad_row(weights)
        raise SpoiledWeightsError(
            f"{source.name} in {source.file} holds a value that is not finite, in row {row}",
            "The checkpoint is damaged; download it again.",
        )
    if unit.parameter.needs_transpose:
        weights = weights.transpose(0, 2, 3, 1)
    stored = weights.astype(_MLX_DTYPE[dtype])
    # float16 ends at 65504, and rounding to bfloat16 can pass its end: a finite weight would turn infinite.
    if dtype != source.dtype and _has_nonfinite(stored, dtype):
        row = first + _first_bad_row(stored)
        raise SpoiledWeightsError(
            f"{source.name} in {source.file} holds a value too large for {dtype}, in row {row}",
            "Choose a dtype with a wider range: --dtype bfloat16 or float32.",
        )
    if unit.packing is None or unit.kept:
        return [_bytes_of(stored, owned=dtype != source.dtype)], Measured([], [])
    pieces = quantize(unit, stored)
    measured = _measure(weights, pieces, unit, skip=-first % measure_every, step=measure_every)
    return [_bytes_of(piece, owned=True) for piece in pieces], measured


def _rewritten_rows(
    unit: Unit, blocks: str, buffer: Buffer, *, dtype: str, first: int, rows: int, measure_every: int
) -> tuple[list[memoryview], Measured]:
    source = unit.parameter.source
    packed = np.frombuffer(buffer.bytes[: rows * source.shape[1]], np.uint8).reshape(rows, -1)
    done = rewritten(packed, blocks, dtype=dtype, skip=-first % measure_every, step=measure_every)
    if done.bad_row is not None:
        raise SpoiledWeightsError(
            f"{source.name} in {source.file} holds a scale that is not finite, in row {first + done.bad_row}",
            "Download the file again. If it is whole, its scales need --dtype bfloat16.",
        )
    pieces = (done.words, done.scales, done.biases)
    return [memoryview(piece.tobytes()) for piece in pieces], Measured(done.noise, done.signal)


def _has_nonfinite(weights: mx.array, dtype: str) -> bool:
    signed, positive, unsigned, negative = _NOT_FINITE[dtype]
    highest = mx.max(weights.view(signed)), mx.max(weights.view(unsigned))
    mx.eval(highest)
    return int(highest[0]) >= positive or int(highest[1]) >= negative


def _first_bad_row(weights: mx.array) -> int:
    bad = mx.any(~mx.isfinite(weights.reshape(weights.shape[0], -1)), axis=1)
    return int(mx.argmax(bad))


def _measure(weights: mx.array, pieces: Sequence[mx.array], unit: Unit, *, skip: int, step: int) -> Measured:
    packing = unit.packing
    if packing is None or skip >= weights.shape[0]:
        return Measured([], [])
    sample = [piece[skip::step] for piece in pieces]
    codes, scales = sample[:2]
    biases = sample[2] if len(sample) > 2 else None
    read_back = mx.dequantize(codes, scales, biases, packing.group_size, packing.bits, packing.mode)
    exact = weights[skip::step].astype(mx.float32)
    noise = mx.sum(mx.square(read_back.astype(mx.float32) - exact), axis=1)
    signal = mx.sum(mx.square(exact), axis=1)
    mx.eval(noise, signal)
    return Measured(noise=list(_memory(noise)), signal=list(_memory(signal)))


def _bytes_of(array: mx.array, *, owned: bool) -> memoryview:
    """The array's bytes in row order; copied unless `owned`, because the buffer will be filled again."""
    flat = mx.contiguous(array).view(mx.uint8)
    mx.eval(flat)
    view = _memory(flat).cast("B", (flat.nbytes,))
    return view if owned else memoryview(bytes(view))


def _memory(array: mx.array) -> memoryview:
    """The array's own memory; it must be evaluated and its dtype known to Python."""
    return memoryview(array)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - no buffer in the stubs
