"""Sampling: greedy at 0, the nucleus by the card's order, a seed that repeats, global state left alone."""

from typing import cast

import mlx.core as mx
import numpy as np
import pytest

from magistral_mlx.generation.decode.sampling import PositionSampler
from magistral_mlx.generation.options import Options


def draws(options: Options, logits: list[float], count: int) -> list[int]:
    sampler = PositionSampler(options)
    return [cast(int, sampler.at(mx.array([logits]), position).item()) for position in range(count)]


def test_defaults_are_the_model_card() -> None:
    assert Options() == Options(temperature=0.7, top_p=0.95, seed=None)


def test_zero_is_greedy() -> None:
    assert draws(Options(temperature=0), [0.0, 3.0, 2.9], 20) == [1] * 20


def test_a_seed_repeats_and_none_does_not() -> None:
    flat = [0.0] * 1000
    first, second = (draws(Options(seed=7, top_p=1), flat, 20) for _ in range(2))
    assert first == second
    assert first != draws(Options(seed=8, top_p=1), flat, 20)
    assert draws(Options(top_p=1), flat, 20) != draws(Options(top_p=1), flat, 20)


@pytest.mark.parametrize("seed", [-1, 0, 2**70])
def test_any_whole_number_is_a_seed(seed: int) -> None:
    assert draws(Options(seed=seed), [0.0] * 50, 5) == draws(Options(seed=seed), [0.0] * 50, 5)


def test_global_random_state_is_left_alone() -> None:
    mx.random.seed(3)
    (state,) = cast(list[mx.array], mx.random.state)
    before = np.array(state)
    draws(Options(seed=1), [0.0, 1.0, 2.0], 5)
    draws(Options(), [0.0, 1.0, 2.0], 5)
    assert np.array_equal(before, np.array(cast(list[mx.array], mx.random.state)[0]))


def test_temperature_comes_before_top_p() -> None:
    """At temperature 0.5 the likeliest token holds 0.8; at 1 the two likeliest are needed for 0.75."""
    logits = np.log([0.6, 0.25, 0.15]).tolist()  # squared and scaled: 0.81, 0.14, 0.05
    assert set(draws(Options(temperature=0.5, top_p=0.75, seed=1), logits, 200)) == {0}
    assert set(draws(Options(temperature=1, top_p=0.75, seed=1), logits, 200)) == {0, 1}


def test_frequencies_follow_the_distribution() -> None:
    probabilities = np.array([0.5, 0.3, 0.2])
    counts = np.bincount(draws(Options(temperature=1, top_p=1, seed=5), np.log(probabilities).tolist(), 3000))
    assert np.allclose(counts / 3000, probabilities, atol=0.04)


def test_raw_logits_of_any_size() -> None:
    assert set(draws(Options(seed=1), [1000.0, 990.0, -5000.0], 50)) == {0}
