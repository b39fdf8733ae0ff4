"""Rows of parameters by their name, in float32: from any source, or read back from a converted folder."""

# pyright: reportUnknownMemberType=false
# Reason: mlx leaves *shape, *axes and *args of its array methods without types.

import math
from collections.abc import Iterator
from typing import Protocol

import mlx.core as mx

from magistral_mlx.checkpoint.config import ModelConfig, Quantization
from magistral_mlx.checkpoint.parameters import Shape, packed_shapes, parameter_shapes
from magistral_mlx.checkpoint.safetensors_header import ITEM_BYTES
from magistral_mlx_convert.sources.mapping import WeightMap
from magistral_mlx_convert.sources.source import Source, SourceTensor
from magistral_mlx_convert.writing.kernel import Buffer

CHUNK_WEIGHTS = 4 << 20
"""Weights that are read at a time: 16 MB in float32. Up to four such pieces are there at once."""


class Weights(Protocol):
    """The parameters of one model, never all of them at once."""

    @property
    def shapes(self) -> dict[str, Shape]: ...

    def rows(self, name: str, first: int, count: int) -> mx.array:
        """`count` rows of a parameter from row `first` on, in float32 and MLX's layout, evaluated.

        Raises:
            ConversionError: they can't be read.
        """
        ...


class SourceWeights:
    """The weights that a conversion begins with."""

    def __init__(self, source: Source, weights: WeightMap) -> None:
        self._source = source
        self._parameters = {parameter.name: parameter for parameter in weights.parameters}
        self.shapes = {name: parameter.shape for name, parameter in self._parameters.items()}

    def rows(self, name: str, first: int, count: int) -> mx.array:
        """See `Weights.rows`."""
        parameter = self._parameters[name]
        weights = _read(self._source, parameter.source, first, count).astype(mx.float32)
        if parameter.needs_transpose:
            weights = weights.transpose(0, 2, 3, 1)
        mx.eval(weights)
        return weights


class StoredWeights:
    """The weights that a converted folder holds, unpacked.

    Args:
        folder: the folder, opened as a source of its stored tensors.
        config: the folder's own.
    """

    def __init__(self, folder: Source, config: ModelConfig) -> None:
        self._folder = folder
        self.shapes = parameter_shapes(config)
        self._packings = {name: _packing(name, folder, config) for name in self.shapes}

    def is_packed(self, name: str) -> bool:
        """Tell if the parameter was quantized."""
        return self._packings[name] is not None

    def rows(self, name: str, first: int, count: int) -> mx.array:
        """See `Weights.rows`."""
        packing = self._packings[name]
        if packing is None:
            weights = _read(self._folder, self._folder.tensors[name], first, count).astype(mx.float32)
        else:
            stored = packed_shapes(name, self.shapes[name], packing)
            codes, scales, *biases = (
                _read(self._folder, self._folder.tensors[each], first, count) for each in stored
            )
            if biases:  # in float32, as they are multiplied by; else the products would be rounded
                scales, biases = scales.astype(mx.float32), [biases[0].astype(mx.float32)]
            weights = mx.dequantize(
                codes, scales, biases[0] if biases else None, packing.group_size, packing.bits, packing.mode
            ).astype(mx.float32)
        mx.eval(weights)
        return weights


def chunks(weights: Weights, name: str) -> Iterator[tuple[int, mx.array]]:
    """The first row and the rows of each piece of a parameter, in order."""
    shape = weights.shapes[name]
    step = max(1, CHUNK_WEIGHTS // math.prod(shape[1:]))
    for first in range(0, shape[0], step):
        yield first, weights.rows(name, first, min(step, shape[0] - first))


def whole(weights: Weights, name: str) -> mx.array:
    """A small parameter at once."""
    return weights.rows(name, 0, weights.shapes[name][0])


def _read(source: Source, tensor: SourceTensor, first: int, count: int) -> mx.array:
    shape = (count, *tensor.shape[1:])
    buffer = Buffer(math.prod(shape) * ITEM_BYTES[tensor.dtype])
    source.read_rows(tensor, first, buffer.bytes)
    return buffer.rows(tensor.dtype, shape)


def _packing(name: str, folder: Source, config: ModelConfig) -> Quantization | None:
    path = name.removesuffix(".weight")
    if config.quantization is None:
        return None
    return config.quantization.of_module(path, has_scales=f"{path}.scales" in folder.tensors)
