"""Rows that MLX packed, unpacked to float32 in numpy: the reverse of `mlx.core.quantize`.

Codes lie along a row without gaps, the lowest bits first. Affine: code times scale plus bias. mxfp4 and
nvfp4: 4-bit floats (E2M1), mxfp8 8-bit ones (E4M3); their scales are powers of two (E8M0), or E4M3 in nvfp4
(OCP Microscaling Formats 1.0; mlx/backend/common/quantized).
"""

import numpy as np
from numpy.typing import NDArray

from magistral_mlx.model_config import Quantization
from magistral_mlx_convert.sources.float8 import E4M3

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_HALF = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
E2M1: Floats = np.concatenate([_HALF, -_HALF])
"""Code -> value of the 4-bit float."""


def unpacked(codes: Bytes, scales: Floats, biases: Floats | None, packing: Quantization) -> Floats:
    """Rows as they are multiplied with.

    Args:
        codes: [rows, bytes] as they are stored.
        scales: [rows, groups].
        biases: [rows, groups]; of affine packings alone.
        packing: how they are packed.
    """
    rows, columns = codes.shape[0], codes.shape[1] * 8 // packing.bits
    values = _codes(codes, packing.bits, columns)
    if packing.mode == "affine":
        weights = values.astype(np.float32)
    else:
        weights = E4M3[values] if packing.mode == "mxfp8" else E2M1[values]
    groups = weights.reshape(rows, -1, packing.group_size)
    groups *= scales[:, :, None]
    if biases is not None:
        groups += biases[:, :, None]
    return weights


def scales_of(stored: Bytes, packing: Quantization) -> Floats:
    """The scales of a packing other than affine, whose scales are one byte each."""
    if packing.mode == "nvfp4":
        return E4M3[stored]
    return np.exp2(stored.astype(np.float32) - 127)


def _codes(codes: Bytes, bits: int, columns: int) -> Bytes:
    if bits == 8:
        return codes
    if bits in (2, 4):
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        mask = np.uint8((1 << bits) - 1)
        return ((codes[:, :, None] >> shifts) & mask).reshape(codes.shape[0], columns)
    single = np.unpackbits(codes, axis=1, bitorder="little").reshape(codes.shape[0], columns, bits)
    return np.packbits(single, axis=2, bitorder="little").reshape(codes.shape[0], columns)
