"""Logits -> the next token: greedy, or nucleus sampling with a seed of its own.

Temperature is applied before top-p, as the reference server of the model card (vLLM) does; mlx-lm's own
sampler applies it after, which keeps more unlikely tokens at the card's 0.7 / 0.95.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

import mlx.core as mx

from magistral_mlx.generation.mlx_lm_sampling import keep_top_p

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

    def after(self, tokens: int) -> "Sampling":
        """For a reply that goes on after so many tokens: not the same draws as at its beginning."""
        return self if self.seed is None else replace(self, seed=self.seed + tokens)


def make_sampler(sampling: Sampling) -> Sampler:
    """A sampler for one reply. It has its own random key, so `mx.random`'s global state is left alone."""
    if sampling.temperature == 0:
        return greedy
    seed = secrets.randbits(63) if sampling.seed is None else sampling.seed
    key = mx.random.key(seed % 2**64)

    def draw(logits: mx.array) -> mx.array:
        nonlocal key
        key, use = mx.random.split(key)
        scaled = logits.astype(mx.float32) * (1 / sampling.temperature)
        scaled = scaled - mx.logsumexp(scaled, axis=-1, keepdims=True)
        if sampling.top_p < 1:
            scaled = keep_top_p(scaled, sampling.top_p)
        return mx.random.categorical(scaled, key=use)

    return draw


def greedy(logits: mx.array) -> mx.array:
    """The likeliest token."""
    return mx.argmax(logits, axis=-1)
