"""KV caches of several prompts side by side, for passes over one token of each.

mlx-lm's `BatchKVCache` aligns the prompts at their ends and masks what stands before the shorter ones; the
images in them are keys and values too. What is relied on
(tests/model/test_upstream_contract.py): `merge` of `KVCache`s, `extend`, `filter`.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# Reason: mlx-lm leaves its caches without types.

from collections.abc import Sequence
from typing import cast

from mlx_lm.models.cache import BatchKVCache, KVCache

from magistral_mlx.model.kv_cache import LayerCache


class BatchCache:
    """One entry per layer in `layers`, one row per prompt, in the order in which they were added."""

    def __init__(self) -> None:
        self.layers: list[LayerCache] = []
        self._rows = 0

    def add(self, layers: Sequence[LayerCache]) -> None:
        """Add a row: a copy of `layers` (not packed, not empty)."""
        new = [BatchKVCache.merge([cast("KVCache", layer)]) for layer in layers]
        if self._rows:
            for layer, other in zip(self.layers, new, strict=True):
                cast("BatchKVCache", layer).extend(other)
        else:
            self.layers = [cast("LayerCache", layer) for layer in new]
        self._rows += 1

    def keep(self, rows: Sequence[int]) -> None:
        """Keep only these rows; they are renumbered."""
        if len(rows) == self._rows:
            return
        self._rows = len(rows)
        if not rows:
            self.layers = []
        for layer in self.layers:
            cast("BatchKVCache", layer).filter(list(rows))
