"""GGUF blocks rewritten as MLX's affine groups of 32, code by code: nothing is unpacked and quantized again.

Types with blocks of 32 (ggml-quants.h of llama.cpp), and what they stand for:

    Q4_0  Q5_0  Q8_0    scale * (code - half)           half: 8, 16, 128 (Q8_0's codes are signed)
    Q4_1  Q5_1          scale * code + minimum
    Q4_K  Q5_K          (d * scale) * code - dmin * minimum, eight blocks of 32, 6-bit scales and minima

MLX's group is scale * code + bias. Scales and biases are rounded to the stored dtype, the only loss: at most
0.05 % of the values with float16 and 0.4 % with bfloat16. The bias takes up what the
rounded scale is off in the middle of the codes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from magistral_mlx_convert.sources.gguf.codes import GROUP, code_bits

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

_AT_A_TIME = 1 << 20
"""Packed bytes that are rewritten at a time: bounds what numpy needs beside them."""


@dataclass(frozen=True)
class Groups:
    """Rows as groups of 32.

    Attributes:
        codes: [rows, columns]
        scales: [rows, groups]
        biases: [rows, groups]
        middle: the code that stands for 0 where a type is symmetric, else None.
    """

    codes: Bytes
    scales: Floats
    biases: Floats
    middle: int | None = None


@dataclass(frozen=True)
class Rewritten:
    """What is stored of some rows, and how far it is from the exact values, row by row."""

    words: Bytes
    """[rows, bytes], the codes as MLX packs them."""
    scales: Bytes
    biases: Bytes
    noise: list[float]
    """Squared error of each measured row."""
    signal: list[float]
    """Squared values of each measured row."""
    bad_row: int | None
    """The first row with a scale that is not finite."""


def rewritten(packed: Bytes, kind: str, *, dtype: str, skip: int, step: int) -> Rewritten:
    """Rewrites whole rows.

    Args:
        packed: [rows, bytes] as they lie in the file.
        kind: the type, one with `code_bits`.
        dtype: of scales and biases, in safetensors' spelling.
        skip: the first row to measure.
        step: measure every `step`-th row from there.
    """
    block_bytes, read = _READERS[kind]
    bits = cast(int, code_bits(kind))
    rows = max(1, _AT_A_TIME // packed.shape[1])
    words: list[Bytes] = []
    scales: list[Bytes] = []
    biases: list[Bytes] = []
    noise: list[float] = []
    signal: list[float] = []
    bad_row: int | None = None
    for first in range(0, packed.shape[0], rows):
        part = packed[first : first + rows]
        with np.errstate(all="ignore"):  # a spoiled scale is found below
            groups = read(part.reshape(part.shape[0], -1, block_bytes))
            kept_scales, kept_biases = _kept(groups, dtype)
        finite = np.isfinite(kept_scales) & np.isfinite(kept_biases)
        if bad_row is None and not finite.all():
            bad_row = first + int(np.argmin(finite.all(axis=1)))
        words.append(packed_bytes(groups.codes, bits))
        scales.append(_stored(kept_scales, dtype))
        biases.append(_stored(kept_biases, dtype))
        measured = range(-(first - skip) % step if first > skip else skip - first, part.shape[0], step)
        for row in measured:
            exact = _values(groups.codes[row], groups.scales[row], groups.biases[row])
            kept = _values(groups.codes[row], kept_scales[row], kept_biases[row])
            noise.append(float(np.square(kept - exact).sum()))
            signal.append(float(np.square(exact).sum()))
    return Rewritten(
        words=np.concatenate(words),
        scales=np.concatenate(scales),
        biases=np.concatenate(biases),
        noise=noise,
        signal=signal,
        bad_row=bad_row,
    )


def packed_bytes(codes: Bytes, bits: int) -> Bytes:
    """[rows, columns] -> the codes in MLX's packing, little-endian bits one after the other."""
    if bits == 8:
        return codes
    if bits == 4:
        return cast("Bytes", codes[:, 0::2] | (codes[:, 1::2] << 4))
    rows, columns = codes.shape
    eights = codes.reshape(rows, columns // 8, 8).astype(np.uint64)
    words = np.zeros(eights.shape[:2], "<u8")
    for place in range(8):
        words |= eights[:, :, place] << np.uint64(place * bits)
    return words[:, :, None].view(np.uint8)[:, :, :bits].reshape(rows, -1)


def _kept(groups: Groups, dtype: str) -> tuple[Floats, Floats]:
    """Scales and biases as they will be read back."""
    scales = _rounded(groups.scales, dtype)
    if groups.middle is not None:
        return scales, _rounded(-groups.middle * scales, dtype)
    rows = groups.codes.shape[0]
    middles = groups.codes.reshape(rows, -1, GROUP).mean(axis=2, dtype=np.float32)
    return scales, _rounded(groups.biases + (groups.scales - scales) * middles, dtype)


def _rounded(values: Floats, dtype: str) -> Floats:
    """Round to the nearest value of the dtype, half to even."""
    if dtype == "F32":
        return values
    if dtype == "F16":
        return values.astype(np.float16).astype(np.float32)
    bits = np.ascontiguousarray(values).view(np.uint32)
    nearest = (bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)
    # Rounding up could turn a NaN into a finite number.
    return cast("Floats", np.where(np.isfinite(values), nearest.view(np.float32), np.nan))


def _stored(values: Floats, dtype: str) -> Bytes:
    """[rows, n] numbers that the dtype has -> [rows, bytes]."""
    if dtype == "F16":
        return values.astype("<f2").view(np.uint8)
    bits = np.ascontiguousarray(values, "<f4").view(np.uint8).reshape(*values.shape, 4)
    kept = bits if dtype == "F32" else bits[:, :, 2:]
    return np.ascontiguousarray(kept).reshape(values.shape[0], -1)


def _values(codes: Bytes, scales: Floats, biases: Floats) -> Floats:
    """One row."""
    return codes.reshape(-1, GROUP) * scales[:, None] + biases[:, None]


def _halves(blocks: Bytes, first: int) -> Bytes:
    """[rows, blocks, 32] codes of 4 bits: the low halves of 16 bytes, then the high ones."""
    held = blocks[:, :, first : first + 16]
    return np.concatenate([held & np.uint8(15), held >> np.uint8(4)], axis=2)


def _fifth_bits(blocks: Bytes, first: int) -> Bytes:
    """[rows, blocks, 32] the fifth bit of each code, in its place."""
    bits = np.unpackbits(blocks[:, :, first : first + 4], axis=2, bitorder="little")
    return bits << np.uint8(4)


def _half_float(blocks: Bytes, first: int) -> Floats:
    """[rows, blocks]"""
    held = np.ascontiguousarray(blocks[:, :, first : first + 2])
    return held.view("<f2")[:, :, 0].astype(np.float32)


def _flat(codes: Bytes) -> Bytes:
    return codes.reshape(codes.shape[0], -1)


def _symmetric(codes: Bytes, scales: Floats, middle: int) -> Groups:
    return Groups(_flat(codes), scales, -middle * scales, middle)


def _q4_0(blocks: Bytes) -> Groups:
    return _symmetric(_halves(blocks, 2), _half_float(blocks, 0), 8)


def _q5_0(blocks: Bytes) -> Groups:
    return _symmetric(_halves(blocks, 6) | _fifth_bits(blocks, 2), _half_float(blocks, 0), 16)


def _q8_0(blocks: Bytes) -> Groups:
    # Signed to unsigned: adding 128 flips the highest bit.
    return _symmetric(blocks[:, :, 2:] ^ np.uint8(128), _half_float(blocks, 0), 128)


def _q4_1(blocks: Bytes) -> Groups:
    return Groups(_flat(_halves(blocks, 4)), _half_float(blocks, 0), _half_float(blocks, 2))


def _q5_1(blocks: Bytes) -> Groups:
    codes = _halves(blocks, 8) | _fifth_bits(blocks, 4)
    return Groups(_flat(codes), _half_float(blocks, 0), _half_float(blocks, 2))


def _k_codes(blocks: Bytes, first: int) -> Bytes:
    """[rows, blocks, 8, 32]: of each 32 bytes, the low halves and then the high halves are a block."""
    held = blocks[:, :, first : first + 128].reshape(*blocks.shape[:2], 4, 1, 32)
    codes: Bytes = np.concatenate([held & np.uint8(15), held >> np.uint8(4)], axis=3)
    return codes.reshape(*blocks.shape[:2], 8, 32)


def _k_ranges(blocks: Bytes) -> tuple[Floats, Floats]:
    """[rows, 8 * blocks] scales and biases: 6-bit numbers in 12 bytes, times d and -dmin."""
    packed = blocks[:, :, 4:16]
    first, second, third = packed[:, :, :4], packed[:, :, 4:8], packed[:, :, 8:]
    scales = np.concatenate([first & 63, (third & 15) | ((first >> 6) << 4)], axis=2)
    minima = np.concatenate([second & 63, (third >> 4) | ((second >> 6) << 4)], axis=2)
    rows = blocks.shape[0]
    d, dmin = _half_float(blocks, 0)[:, :, None], _half_float(blocks, 2)[:, :, None]
    return (d * scales).reshape(rows, -1), (-dmin * minima).reshape(rows, -1)


def _q4_k(blocks: Bytes) -> Groups:
    return Groups(_flat(_k_codes(blocks, 16)), *_k_ranges(blocks))


def _q5_k(blocks: Bytes) -> Groups:
    fifths: Bytes = blocks[:, :, None, 16:48] >> np.arange(8, dtype=np.uint8)[:, None] & np.uint8(1)
    return Groups(_flat(_k_codes(blocks, 48) | (fifths << np.uint8(4))), *_k_ranges(blocks))


_READERS: Mapping[str, tuple[int, Callable[[Bytes], Groups]]] = {
    "Q4_0": (18, _q4_0),
    "Q4_1": (20, _q4_1),
    "Q5_0": (22, _q5_0),
    "Q5_1": (24, _q5_1),
    "Q8_0": (34, _q8_0),
    "Q4_K": (144, _q4_k),
    "Q5_K": (176, _q5_k),
}
"""Type -> bytes of a block, and what reads [rows, blocks, bytes]."""
