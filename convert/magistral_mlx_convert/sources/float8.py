"""Weights in 8-bit floating point with their scales, delivered as float32 rows.

A weight is stored value times scale. Scales lie beside the weight, for the whole matrix, for each row, or for
each block of it; their name and shape differ by who wrote them:

| written by | name of the scale | shape |
|---|---|---|
| Transformers (fp8) | `<path>.weight_scale_inv` | blocks of `weight_block_size`, or one |
| compressed-tensors | `<path>.weight_scale` | one for each row, or one |
| Mistral | `<path>.qscale_weight` | one |

Scales of activations are for fp8 arithmetic and not needed here.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from magistral_mlx.checkpoint.safetensors_header import ITEM_BYTES
from magistral_mlx.errors import ConversionError
from magistral_mlx_convert.sources.safetensors_files import WeightFiles
from magistral_mlx_convert.sources.source import SourceTensor

SCALE_SUFFIXES = ("weight_scale_inv", "weight_scale", "qscale_weight")
"""Ends of the names of scales, after the path of their matrix."""

ACTIVATION_SUFFIXES = (".activation_scale", ".input_scale", ".qscale_act", ".output_scale")

DEFAULT_BLOCK = (128, 128)
"""Rows and columns of a block, where the config does not say."""

_AGAIN = "Download the checkpoint again, or take the bf16 one."

Floats = NDArray[np.float32]


class ScaledTensors:
    """The tensors of opened files, with fp8 weights as float32 and without their scales.

    Args:
        files: what is stored.
        folder: where, for messages.
        block: rows and columns that share a scale, where scales come in blocks.

    Raises:
        ConversionError: an fp8 weight has no scale, or one of an impossible shape.
    """

    def __init__(self, files: WeightFiles, *, folder: Path, block: tuple[int, int] = DEFAULT_BLOCK) -> None:
        self._files, self._folder, self._block = files, folder, block
        self._scales = {
            name: self._scale(tensor) for name, tensor in files.tensors.items() if tensor.dtype == "F8_E4M3"
        }
        used = (
            {name for scale in self._scales for name in _scale_names(scale)} if self._scales else set[str]()
        )
        self.tensors: Mapping[str, SourceTensor] = {
            name: replace(tensor, dtype="F32", packed_bytes=math.prod(tensor.shape))
            if name in self._scales
            else tensor
            for name, tensor in files.tensors.items()
            if not (self._scales and (name in used or name.endswith(ACTIVATION_SUFFIXES)))
        }

    @property
    def any(self) -> bool:
        """Tell if there are fp8 weights."""
        return bool(self._scales)

    def read_rows(self, tensor: SourceTensor, first: int, into: memoryview) -> None:
        """See `Source.read_rows`."""
        scale = self._scales.get(tensor.name)
        if scale is None:
            self._files.read_rows(tensor, first, into)
            return
        rows = into.nbytes // (4 * math.prod(tensor.shape[1:]))
        stored = bytearray(into.nbytes // 4)
        self._files.read_rows(tensor, first, memoryview(stored))
        codes = np.frombuffer(stored, np.uint8).reshape(rows, *tensor.shape[1:])
        weights = np.frombuffer(into, np.float32).reshape(codes.shape)
        np.take(E4M3, codes, out=weights)
        weights *= self._rows_of(scale, tensor, first, rows)

    def _scale(self, tensor: SourceTensor) -> Floats:
        name = next((name for name in _scale_names(tensor.name) if name in self._files.tensors), None)
        if name is None:
            raise ConversionError(
                f"{self._folder / tensor.file} holds {tensor.name} in fp8 without its scale", _AGAIN
            )
        stored = self._files.tensors[name]
        scale = floats_of(self._files.read_tensor(name), stored.dtype).reshape(stored.shape)
        whole = math.prod(tensor.shape[1:])
        blocks = tuple(math.ceil(size / step) for size, step in zip(tensor.shape, self._block, strict=False))
        if scale.size == 1:
            return scale.reshape(1, 1)
        if scale.shape in ((tensor.shape[0],), (tensor.shape[0], 1)):
            return scale.reshape(-1, 1)
        if scale.shape == blocks and len(tensor.shape) == 2 and whole:
            return scale
        raise ConversionError(
            f"{name} in {stored.file} is {list(stored.shape)}, which fits no scale of {list(tensor.shape)}",
            _AGAIN,
        )

    def _rows_of(self, scale: Floats, tensor: SourceTensor, first: int, rows: int) -> Floats:
        """The scales of those rows, one for each row and column or broadcasting to it."""
        if scale.shape == (1, 1):
            return scale
        if scale.shape == (tensor.shape[0], 1):
            return scale[first : first + rows]
        down, across = self._block
        places = np.arange(first, first + rows) // down
        return np.repeat(scale[places], across, axis=1)[:, : tensor.shape[1]]


def _scale_names(weight: str) -> tuple[str, ...]:
    path = weight.removesuffix("weight")
    return tuple(path + suffix for suffix in SCALE_SUFFIXES)


def floats_of(data: bytes, dtype: str) -> Floats:
    """Stored floats as float32."""
    if dtype == "BF16":
        return (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
    if dtype in ("F16", "F32"):
        return np.frombuffer(data, np.float16 if ITEM_BYTES[dtype] == 2 else np.float32).astype(np.float32)
    raise ConversionError(f"A scale is stored as {dtype}", _AGAIN)


def _e4m3() -> Floats:
    """The 256 values of F8_E4M3: sign, 4 bits of exponent (bias 7), 3 of mantissa; 0x7F and 0xFF are NaN."""
    codes = np.arange(256)
    exponent, mantissa = (codes >> 3) & 15, (codes & 7).astype(np.float32)
    small = mantissa * 2.0**-9
    large = (1 + mantissa / 8) * np.exp2(exponent.astype(np.float32) - 7)
    values = np.where(exponent == 0, small, large)
    values[(codes & 0x7F) == 0x7F] = np.nan
    return np.where(codes & 0x80, -values, values).astype(np.float32)


E4M3 = _e4m3()
"""Code -> value."""
