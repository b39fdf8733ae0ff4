"""Typed wrappers for untyped calls of MLX and of mlx-lm's KV cache."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# Reason: mlx leaves the arguments of eval and async_eval, mlx-lm everything of its caches without types.

from collections.abc import Sequence

import mlx.core as mx

from magistral_mlx.model.kv_cache import LayerCache


def evaluate(*arrays: mx.array) -> None:
    """Compute the arrays and wait for them."""
    mx.eval(*arrays)


def start_evaluating(*arrays: mx.array) -> None:
    """Compute the arrays while the caller goes on."""
    mx.async_eval(*arrays)


def evaluate_layers(layers: Sequence[LayerCache]) -> None:
    """Compute all pending writes to a KV cache."""
    mx.eval([layer.state for layer in layers])


def trim_layers(layers: Sequence[LayerCache], length: int) -> None:
    """Forget everything after the first `length` positions; shorter layers stay as they are."""
    for layer in layers:
        layer.trim(max(layer.offset - length, 0))


def layers_bytes(layers: Sequence[LayerCache]) -> int:
    """Memory of keys and values, spare room included."""
    return sum(0 if layer.empty() else layer.nbytes for layer in layers)
