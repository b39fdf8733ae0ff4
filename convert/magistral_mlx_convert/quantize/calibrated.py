"""The quantizer of calibrated recipes: takes rows of one matrix after the other, in the order of the plan."""

# pyright: reportUnknownMemberType=false
# Reason: mlx leaves *shape, *axes and *args of its array methods without types.

import re

import mlx.core as mx

from magistral_mlx.checkpoint.config import Quantization
from magistral_mlx.checkpoint.parameters import VISION_PREFIXES
from magistral_mlx_convert.planning.plan import Unit
from magistral_mlx_convert.quantize.activations import Activations
from magistral_mlx_convert.quantize.curvature import BlockCurvature, Gram, block_curvature
from magistral_mlx_convert.quantize.feedback import Quantized, quantize_with_feedback
from magistral_mlx_convert.quantize.packed_words import packed_words
from magistral_mlx_convert.quantize.ranges import choose_ranges, codes_of

_LAYER = re.compile(r"language_model\.model\.layers\.(\d+)\.")
_HEAD = "language_model.lm_head.weight"

READS_LIKE = {"k_proj": "q_proj", "v_proj": "q_proj", "up_proj": "gate_proj"}
"""Matrices that read what another of their layer reads."""


class CalibratedQuantizer:
    """Quantizes by what the matrices read; `activations` runs the model as far as the next matrix needs."""

    def __init__(self, activations: Activations) -> None:
        self._activations = activations
        self._layer: int | None = None
        self._grams: dict[str, Gram] = {}
        self._prepared: tuple[str, int, list[BlockCurvature]] | None = None

    def __call__(self, unit: Unit, weights: mx.array) -> list[mx.array]:
        """Packed codes, scales and biases of some rows, as `mx.quantize` gives them.

        Args:
            unit: the matrix.
            weights: [rows, columns] in the dtype that scales and biases are stored in.
        """
        packing = unit.packing
        if packing is None:
            raise ValueError(f"{unit.parameter.name} is not quantized")
        name = unit.parameter.name
        if name.startswith(VISION_PREFIXES):
            return list(mx.quantize(weights, packing.group_size, packing.bits, packing.mode))
        turned = mx.contiguous(weights.astype(mx.float32).T)
        if name == _HEAD or _LAYER.match(name):
            quantized = self._with_feedback(
                turned, self._curvature(name, packing.group_size), packing, weights.dtype
            )
        else:
            quantized = _by_search(turned, packing, weights.dtype)
        codes = mx.contiguous(quantized.codes.T.astype(mx.uint8))
        stored = [
            mx.contiguous(each.T).astype(weights.dtype) for each in (quantized.scales, quantized.biases)
        ]
        return [packed_words(codes, packing.bits), *stored]

    def _with_feedback(
        self, turned: mx.array, blocks: list[BlockCurvature], packing: Quantization, dtype: mx.Dtype
    ) -> Quantized:
        parts: list[Quantized] = []
        first = 0
        for block in blocks:
            width = block.order.shape[0]
            columns = turned[first : first + width]
            parts.append(
                quantize_with_feedback(
                    columns, block, group_size=packing.group_size, bits=packing.bits, dtype=dtype
                )
            )
            first += width
        return Quantized(
            codes=mx.concatenate([part.codes for part in parts]),
            scales=mx.concatenate([part.scales for part in parts]),
            biases=mx.concatenate([part.biases for part in parts]),
        )

    def _curvature(self, name: str, group_size: int) -> list[BlockCurvature]:
        wanted = _first_reader(name), group_size
        if self._prepared is None or self._prepared[:2] != wanted:
            self._prepared = None  # its memory goes before the next is made
            gram = self._gram(*wanted)
            blocks: list[BlockCurvature] = []
            while gram.blocks:
                blocks.append(block_curvature(gram.blocks.pop(0), group_size))
            self._prepared = *wanted, blocks
        return self._prepared[2]

    def _gram(self, name: str, group_size: int) -> Gram:
        """Gives it away: matrices that read the same follow each other, and `_prepared` serves them all."""
        if name == _HEAD:
            return self._activations.of_head(group_size)
        layer = _layer_of(name)
        if self._layer != layer or name not in self._grams:
            self._grams = {}
            self._grams = self._activations.of_layer(layer, group_size)
            self._layer = layer
        return self._grams.pop(name)


def _first_reader(name: str) -> str:
    """The matrix whose Gram matrix stands for what `name` reads."""
    for matrix, first in READS_LIKE.items():
        name = name.replace(f".{matrix}.", f".{first}.")
    return name


def _layer_of(name: str) -> int:
    found = _LAYER.match(name)
    if found is None:
        raise ValueError(f"{name} belongs to no layer")
    return int(found[1])


def _by_search(turned: mx.array, packing: Quantization, dtype: mx.Dtype) -> Quantized:
    """For the embedding, which is looked up and not multiplied: every weight counts alike."""
    columns, rows = turned.shape
    groups = turned.reshape(columns // packing.group_size, packing.group_size, rows)
    every = mx.ones((packing.group_size, 1))
    codes: list[mx.array] = []
    scales: list[mx.array] = []
    biases: list[mx.array] = []
    for place in range(groups.shape[0]):
        scale, bias = choose_ranges(groups[place], every, bits=packing.bits, dtype=dtype)
        codes.append(codes_of(groups[place], scale, bias, packing.bits))
        scales.append(scale)
        biases.append(bias)
        mx.eval(codes[-1])
    return Quantized(mx.concatenate(codes), mx.concatenate(scales), mx.concatenate(biases))
