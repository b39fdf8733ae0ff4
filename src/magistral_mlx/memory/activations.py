"""Memory for prefilling one chunk, beside the weights and the KV cache.

    peak(tokens, context) = tokens * (token_bytes + pair_bytes * context) + layer_bytes * context

`tokens` are read at once and end at position `context`. The terms, found by reading single chunks of 32 to
512 tokens at 0 to 16,000 with models of two widths (docs/experiments.md has the figures):

* `token_bytes`: states of one token. Two arrays of the MLP's width and thirteen of the model's live at once.
* `pair_bytes`: of one token and one position that it sees. A GPU runs attention as one fused kernel: nothing.
  The CPU writes out a float32 score for each head, over which the softmax is written, and one byte of mask.
* `layer_bytes`: keys and values of one position in one layer, in the computing dtype: while the cache is
  enlarged, every 256 tokens, one layer of it is there twice.
* `unpacked_bytes`: the same for a packed cache, which is unpacked for every chunk. On the CPU the next
  layer's keys are there too before these are gone, as MLX hands out memory some operations ahead of the
  computing: one and a half layers. On a GPU, where nobody could measure it yet, one is assumed.

The terms add up, for the same reason: the MLP's arrays are handed out while the scores are still in use.
"""

import math
from dataclasses import dataclass

FLAT_FROM = 2048
"""Tokens of context up to which the CPU reads full chunks; from there on the peak stays what it is."""
SMALLEST_STEP = 32
"""Tokens that are read at once however long the context is."""


@dataclass(frozen=True, kw_only=True)
class ChunkMemory:
    """The terms of one model on one kind of machine, in bytes."""

    token_bytes: int
    pair_bytes: int
    layer_bytes: int
    unpacked_bytes: int

    def peak(self, tokens: int, context: int, *, kv_bits: int) -> int:
        """While the last `tokens` of `context` are read."""
        per_token = self.token_bytes + self.pair_bytes * context
        return tokens * per_token + self._of_a_layer(kv_bits) * context

    def tokens_within(self, most: int, held: int, *, kv_bits: int) -> int:
        """Return the largest chunk after `held` tokens whose peak is at most `most` bytes; 0 if none is.

        The larger root t of `peak(t, held + t) = most`:
        `pair t^2 + (token + pair held + layer) t + layer held - most = 0`.
        """
        layer = self._of_a_layer(kv_bits)
        left = most - layer * held
        if left <= 0:
            return 0
        half = (self.token_bytes + self.pair_bytes * held + layer) / 2
        return int(left / (half + math.sqrt(half * half + self.pair_bytes * left)))

    def _of_a_layer(self, kv_bits: int) -> int:
        return self.layer_bytes if kv_bits == 16 else self.unpacked_bytes


def chunk_memory(
    *, hidden: int, intermediate: int, heads: int, kv_heads: int, head_dim: int, float_bytes: int
) -> ChunkMemory:
    """For a decoder of these widths.

    Args:
        float_bytes: of the computing dtype: 2 on a GPU, 4 on the CPU, which also writes out its scores.
    """
    cpu, layer_bytes = float_bytes == 4, 2 * kv_heads * head_dim * float_bytes
    return ChunkMemory(
        token_bytes=(2 * intermediate + 13 * hidden) * float_bytes,
        pair_bytes=4 * heads + 1 if cpu else 0,
        layer_bytes=layer_bytes,
        unpacked_bytes=layer_bytes * 3 // 2 if cpu else layer_bytes,
    )
