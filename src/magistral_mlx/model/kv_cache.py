"""The KV cache of one layer: in the model's own dtype, or packed in 8 or 4 bits.

Both kinds are mlx-lm's; this is the only file that imports them. What is relied on
(tests/model/test_upstream_contract.py fails when it changes): both count positions in `.offset`, forget the
last n with `trim(n)`, take new keys and values with `update_and_fetch`; attention reads a cache as packed if
it has an attribute `bits`.

Packed keys and values are what decoding reads: it moves all of them once per token, and half or a quarter of
the bytes is the gain. For a prefill chunk mlx-lm would write out the scores of all its tokens against the
whole context (512 tokens at 40,000: 1.3 GB in bfloat16, twice with their softmax). So chunks see one layer at
a time unpacked (0.17 GB at 40,000) and attention is the same fused kernel as without packing.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# Reason: mlx-lm leaves its caches without types.

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import mlx.core as mx
from mlx.utils import tree_map
from mlx_lm.models.cache import KVCache, QuantizedKVCache

from magistral_mlx.errors import UsageError

__all__ = ["KV_BITS", "KVCache", "LayerCache", "QuantizedKVCache", "for_reading", "new_layers"]


class LayerCache(Protocol):
    """The methods that this project uses of either kind."""

    offset: int
    """Positions held."""

    @property
    def nbytes(self) -> int:
        """Memory in bytes, spare room included; undefined for an empty one."""
        ...

    @property
    def state(self) -> Any:
        """Its arrays and numbers, nested."""
        ...

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> Any:
        """Take new positions [1, KV heads, n, head_dim] and return all positions."""
        ...

    def empty(self) -> bool:
        """Whether it has never held anything."""
        ...

    def trim(self, n: int) -> int:
        """Forget the last n positions, at most all; returns how many."""
        ...


KV_BITS = (16, 8, 4)
"""Widths: 16 stands for the model's own dtype."""
UNPACK_FROM = 32
"""Fewest tokens in a pass for which unpacking a layer is cheaper than full scores."""

_GROUPS = (64, 32)


def group_of(head_dim: int) -> int:
    """Values that share a scale and a bias in a packed cache.

    Raises:
        UsageError: heads of this size cannot be packed.
    """
    group = next((group for group in _GROUPS if head_dim % group == 0), None)
    if group is None:
        raise UsageError(
            f"A KV cache of heads of {head_dim} numbers cannot be quantized", "Leave out kv_bits."
        )
    return group


def new_layers(count: int, *, head_dim: int, bits: int = 16) -> list[LayerCache]:
    """Empty caches for `count` layers.

    Raises:
        UsageError: heads of this size cannot be packed.
    """
    if bits == 16:
        return [cast("LayerCache", KVCache()) for _ in range(count)]
    group = group_of(head_dim)
    return [cast("LayerCache", QuantizedKVCache(group_size=group, bits=bits)) for _ in range(count)]


def copy_layers(layers: Sequence[LayerCache], length: int) -> list[LayerCache]:
    """Caches of their own with the first `length` positions, without spare room, evaluated."""

    def beginning(array: mx.array) -> mx.array:
        return mx.contiguous(array[..., :length, :])

    copied: list[LayerCache] = []
    for layer in layers:
        fresh: Any = copy.copy(layer)
        if not layer.empty():
            fresh.keys = tree_map(beginning, fresh.keys)
            fresh.values = tree_map(beginning, fresh.values)
            mx.eval(fresh.keys, fresh.values)  # one layer after the other, for the sake of the peak
        fresh.offset = min(length, layer.offset)
        copied.append(cast("LayerCache", fresh))
    return copied


def layer_arrays(layers: Sequence[LayerCache], length: int) -> dict[str, mx.array]:
    """The first `length` positions of every layer as named arrays; packed ones have three parts each."""
    arrays: dict[str, mx.array] = {}
    for number, layer in enumerate(copy_layers(layers, length)):
        held: Any = layer
        if layer.empty():
            continue
        for name, part in (("keys", held.keys), ("values", held.values)):
            parts = [part] if isinstance(part, mx.array) else part
            arrays |= {f"layer.{number}.{name}.{place}": array for place, array in enumerate(parts)}
    return arrays


def layers_from(empty: Sequence[LayerCache], arrays: Mapping[str, mx.array], length: int) -> list[LayerCache]:
    """The layers that `layer_arrays` was given, into empty ones of the same kind.

    Raises:
        KeyError: an array is missing.
        ValueError: an array has another number of positions.
    """
    for number, layer in enumerate(empty):
        filled: Any = layer
        for name in ("keys", "values") if length else ():
            packed = isinstance(layer, QuantizedKVCache)
            parts = [arrays[f"layer.{number}.{name}.{place}"] for place in range(3 if packed else 1)]
            if any(part.ndim != 4 or part.shape[-2] != length for part in parts):
                raise ValueError(name)
            setattr(filled, name, parts if packed else parts[0])
        filled.offset = length
    return list(empty)


def room_of(layers: Sequence[LayerCache]) -> int:
    """Capacity of the buffers in positions."""
    first: Any = layers[0]
    if first.empty():
        return 0
    keys = first.keys
    return int((keys if isinstance(keys, mx.array) else keys[0]).shape[-2])


def for_reading(layers: Sequence[LayerCache], tokens: int) -> list[object]:
    """The caches to hand to the decoder for a pass over so many tokens."""
    if tokens < UNPACK_FROM:
        return list(layers)
    return [_Unpacking(layer) if isinstance(layer, QuantizedKVCache) else layer for layer in layers]


class _Unpacking:
    """A packed cache that packs new keys and values and returns all of them unpacked.

    It has no `bits`, so attention takes it for an ordinary cache.
    """

    def __init__(self, packed: QuantizedKVCache) -> None:
        self._packed: Any = packed

    @property
    def offset(self) -> int:
        return int(self._packed.offset)

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """Keys and values [1, KV heads, n, head_dim] -> all of them [1, KV heads, offset, head_dim]."""
        packed = self._packed.update_and_fetch(keys, values)
        return self._unpacked(packed[0], keys.dtype), self._unpacked(packed[1], values.dtype)

    def make_mask(self, *arguments: object, **options: object) -> object:
        """As the cache behind it."""
        return self._packed.make_mask(*arguments, **options)

    def _unpacked(self, triple: Sequence[mx.array], dtype: mx.Dtype) -> mx.array:
        packed, scales, biases = triple
        group, bits = self._packed.group_size, self._packed.bits
        return mx.dequantize(packed, scales, biases, group_size=group, bits=bits).astype(dtype)
