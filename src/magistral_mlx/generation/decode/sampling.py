"""Draw the next token from logits: greedy, or nucleus sampling with one random key per position.

Temperature is applied before top-p, as the reference server of the model card (vLLM) does. mlx-lm's own
sampler applies it after, which keeps more unlikely tokens at the card's temperature and top-p.
"""

import secrets
from collections.abc import Callable

import mlx.core as mx
from mlx_lm.sample_utils import apply_top_p

from magistral_mlx.generation.options import Options

_GOLDEN = 0x9E3779B97F4A7C15
"""2**64 by the golden ratio: keys of neighbouring positions and seeds are far apart."""

Sampler = Callable[[mx.array], mx.array]
"""Logits [1, vocab] -> token ids [1], not evaluated."""


class PositionSampler:
    """Draw tokens that depend only on their logits, the seed and their position in the reply.

    The number of passes and the logits computed in vain change nothing: with and without speculation, cut and
    continued or in one go, the same seed gives the same reply. `mx.random`'s global state is left alone.

    Args:
        options: temperature, top-p and seed.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._seed = secrets.randbits(63) if options.seed is None else options.seed

    def at(self, logits: mx.array, position: int) -> mx.array:
        """Logits [n, vocab] of the positions from `position` on -> token ids [n], not evaluated."""
        temperature, top_p = self._options.temperature, self._options.top_p
        if temperature == 0:
            return mx.argmax(logits, axis=-1)
        scaled = logits.astype(mx.float32) * (1 / temperature)
        scaled = scaled - mx.logsumexp(scaled, axis=-1, keepdims=True)
        if top_p < 1:
            scaled = apply_top_p(scaled, top_p)
        rows = [
            mx.random.categorical(scaled[row : row + 1], key=self._key(position + row))
            for row in range(scaled.shape[0])
        ]
        return rows[0] if len(rows) == 1 else mx.concatenate(rows)

    def _key(self, position: int) -> mx.array:
        return mx.random.key((self._seed + position * _GOLDEN) % 2**64)
