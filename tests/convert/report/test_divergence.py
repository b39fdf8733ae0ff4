"""The divergence that passes by in pieces equals the one taken at once, in double precision."""

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magistral_mlx_convert.report.divergence import diverge
from magistral_mlx_convert.report.metrics import figures_of


def pieces(head: np.ndarray, step: int) -> list[tuple[int, mx.array]]:
    return [(first, mx.array(head[first : first + step])) for first in range(0, len(head), step)]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), step=st.integers(1, 40), scale=st.sampled_from([0.1, 3.0, 30.0]))
def test_pieces_give_what_the_whole_gives(seed: int, step: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    states, other = (rng.normal(size=(7, 8)).astype(np.float32) for _ in range(2))
    head = (scale * rng.normal(size=(37, 8))).astype(np.float32)
    changed = (head + 0.05 * scale * rng.normal(size=head.shape)).astype(np.float32)
    targets = rng.integers(0, 37, 7)
    found = diverge(
        mx.array(states), mx.array(other), pieces(head, step), pieces(changed, step), targets.astype(np.int64)
    )
    ours = log_softmax(states.astype(np.float64) @ head.T.astype(np.float64))
    theirs = log_softmax(other.astype(np.float64) @ changed.T.astype(np.float64))
    tolerance = {"rtol": 1e-4, "atol": 1e-5 * scale}
    np.testing.assert_allclose(found.kl, (np.exp(ours) * (ours - theirs)).sum(axis=1), **tolerance)
    np.testing.assert_allclose(found.source_surprise, -ours[np.arange(7), targets], **tolerance)
    np.testing.assert_allclose(found.result_surprise, -theirs[np.arange(7), targets], **tolerance)
    np.testing.assert_array_equal(found.same_top, ours.argmax(axis=1) == theirs.argmax(axis=1))


def test_a_tiny_divergence_is_not_lost_in_rounding() -> None:
    rng = np.random.default_rng(1)
    states = rng.normal(size=(5, 16)).astype(np.float32)
    head = rng.normal(size=(4000, 16)).astype(np.float32)
    changed = head + 5e-3 * rng.normal(size=head.shape).astype(np.float32)
    found = diverge(
        mx.array(states), mx.array(states), pieces(head, 700), pieces(changed, 700), np.zeros(5, np.int64)
    )
    ours, theirs = (log_softmax((states @ each.T).astype(np.float64)) for each in (head, changed))
    expected = (np.exp(ours) * (ours - theirs)).sum(axis=1)
    assert 1e-5 < expected.min() < expected.max() < 1e-3
    np.testing.assert_allclose(found.kl, expected, atol=1e-6)


def test_figures_are_means_over_the_chosen_positions() -> None:
    head = np.eye(4, dtype=np.float32)
    states = np.zeros((2, 4), np.float32)
    found = diverge(mx.array(states), mx.array(states), pieces(head, 4), pieces(head, 4), np.array([0, 3]))
    figures = figures_of(found, np.array([True, True]))
    assert figures.tokens == 2
    assert figures.source_perplexity == pytest.approx(4.0, rel=1e-4)
    assert (figures.mean_kl, figures.kl_99, figures.same_top) == (0.0, 0.0, 1.0)
