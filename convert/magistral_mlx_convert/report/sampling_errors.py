"""The error of a packing on a few rows of a matrix: enough to choose bits by, before anything is written."""

# pyright: reportUnknownMemberType=false
# Reason: mlx leaves *shape, *axes and *args of its array methods without types.

import mlx.core as mx

from magistral_mlx.checkpoint.config import Quantization
from magistral_mlx_convert.report.weights import SourceWeights
from magistral_mlx_convert.sources.mapping import Parameter, WeightMap
from magistral_mlx_convert.sources.source import Source

SAMPLES = 32
"""Rows of each matrix, evenly spaced: the same ones on every run."""


class SampledErrors:
    """Reads the rows of a parameter once, and measures as many packings on them as are asked for."""

    def __init__(self, source: Source, weights: WeightMap, *, dtype: str) -> None:
        self._weights = SourceWeights(source, weights)
        self._dtype = {"bfloat16": mx.bfloat16, "float16": mx.float16, "float32": mx.float32}[dtype]
        self._name = ""
        self._rows = mx.array(0.0)

    def __call__(self, parameter: Parameter, packing: Quantization) -> float:
        """Relative squared error."""
        if parameter.name != self._name:
            count = parameter.shape[0]
            places = sorted({(2 * index + 1) * count // (2 * SAMPLES) for index in range(SAMPLES)})
            self._rows = mx.concatenate([self._weights.rows(parameter.name, place, 1) for place in places])
            self._name = parameter.name
        stored = self._rows.astype(self._dtype)
        codes, scales, *biases = mx.quantize(stored, packing.group_size, packing.bits, packing.mode)
        read_back = mx.dequantize(
            codes, scales, biases[0] if biases else None, packing.group_size, packing.bits, packing.mode
        )
        signal = float(mx.sum(mx.square(self._rows)))
        noise = float(mx.sum(mx.square(read_back.astype(mx.float32) - self._rows)))
        return noise / signal if signal else 0.0
