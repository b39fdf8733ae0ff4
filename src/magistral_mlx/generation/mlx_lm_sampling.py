"""The one place that touches mlx-lm's samplers."""

import mlx.core as mx
from mlx_lm.sample_utils import apply_top_p


def keep_top_p(logprobs: mx.array, top_p: float) -> mx.array:
    """Log-probabilities [1, vocab] with everything outside the nucleus of `top_p` at minus infinity."""
    return apply_top_p(logprobs, top_p)
