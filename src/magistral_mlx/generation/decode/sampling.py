"""Logits -> the next token: greedy, or nucleus sampling with a seed of its own.

Temperature is applied before top-p, as the reference server of the model card (vLLM) does; mlx-lm's own
sampler applies it after, which keeps more unlikely tokens at the card's 0.7 / 0.95.
"""

import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import mlx.core as mx
from mlx_lm.sample_utils import apply_top_p

_GOLDEN = 0x9E3779B97F4A7C15
"""2**64 by the golden ratio: keys of neighbouring positions and seeds are far apart."""

Sampler = Callable[[mx.array], mx.array]
"""Logits [1, vocab] -> token ids [1], not evaluated."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tokens are drawn. The defaults are those of the model card."""

    temperature: float = 0.7
    """0 takes the likeliest token; at least 0."""
    top_p: float = 0.95
    """Draw from the likeliest tokens that together hold this probability; above 0, at most 1."""
    seed: int | None = None
    """The same seed gives the same reply on the same machine and versions; None: another one every time."""


class Draws:
    """Draws tokens so that each depends on its logits, the seed and its position in the reply alone.

    So it does not matter in how many passes the logits came, nor which were computed in vain: with and
    without speculation the same seed gives the same reply. Each position has its own random key, so
    `mx.random`'s global state is left alone.

    Args:
        sampling: how to draw.
        first: how many tokens of the reply are there already: it goes on as if it had never been cut.
    """

    def __init__(self, sampling: Sampling, *, first: int = 0) -> None:
        self._sampling = sampling
        self._first = first
        self._seed = secrets.randbits(63) if sampling.seed is None else sampling.seed

    def at(self, logits: mx.array, position: int) -> mx.array:
        """Logits [n, vocab] of the positions from `position` on -> token ids [n], not evaluated."""
        if self._sampling.temperature == 0:
            return greedy(logits)
        scaled = logits.astype(mx.float32) * (1 / self._sampling.temperature)
        scaled = scaled - mx.logsumexp(scaled, axis=-1, keepdims=True)
        if self._sampling.top_p < 1:
            scaled = keep_top_p(scaled, self._sampling.top_p)
        rows = [
            mx.random.categorical(scaled[row : row + 1], key=self._key(position + row))
            for row in range(scaled.shape[0])
        ]
        return rows[0] if len(rows) == 1 else mx.concatenate(rows)

    def sampler(self) -> Sampler:
        """The next position at each call, from the first on."""
        positions = itertools.count()
        return lambda logits: self.at(logits, next(positions))

    def _key(self, position: int) -> mx.array:
        return mx.random.key((self._seed + (self._first + position) * _GOLDEN) % 2**64)


def make_sampler(sampling: Sampling) -> Sampler:
    """A sampler for one reply: the next position at each call."""
    return Draws(sampling).sampler()


def greedy(logits: mx.array) -> mx.array:
    """The likeliest token of each row."""
    return mx.argmax(logits, axis=-1)


def keep_top_p(logprobs: mx.array, top_p: float) -> mx.array:
    """Log-probabilities [1, vocab] with everything outside the nucleus of `top_p` at minus infinity."""
    return apply_top_p(logprobs, top_p)
