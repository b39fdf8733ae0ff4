"""Loops are found, whatever their period; what only looks alike is none."""

import itertools
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import pytest

from magistral_mlx.generation.loops import COPIES, LONGEST_PERIOD, SHORTEST_SPAN, CycleDetector
from magistral_mlx.prompt.tokenizer import Tokenizer


def first_alarm(ids: Iterable[int]) -> int | None:
    """How many tokens were read when the alarm came."""
    detector = CycleDetector()
    for count, token_id in enumerate(ids, start=1):
        if detector.push(token_id):
            return count
    return None


@pytest.mark.parametrize("period", [1, 2, 3, 7, 50, 64, 65, 128, 200, 399, LONGEST_PERIOD])
@pytest.mark.parametrize("before", [0, 5, 4000])
def test_a_cycle_is_found_when_enough_of_it_is_there(period: int, before: int) -> None:
    random = np.random.default_rng(period)
    start = [int(token) for token in random.integers(2000, 100_000, before)]
    cycle = [1000, *(int(token) for token in random.integers(0, 1000, period - 1))]
    span = max(SHORTEST_SPAN, COPIES * period)
    assert first_alarm(itertools.chain(start, itertools.cycle(cycle))) == before + span


def test_a_cycle_longer_than_any_looked_for_is_none() -> None:
    cycle = list(range(LONGEST_PERIOD + 1))
    assert first_alarm(cycle * 20) is None


def test_one_different_token_ends_a_cycle() -> None:
    assert first_alarm(([5] * (SHORTEST_SPAN - 1) + [6]) * 3) is None
    nearly = [[*range(100), 1000 + turn] for turn in range(50)]
    assert first_alarm(itertools.chain.from_iterable(nearly)) is None


def primes(below: int) -> list[int]:
    return [n for n in range(2, below) if all(n % d for d in range(2, int(n**0.5) + 1))]


def digits_of_pi(count: int) -> str:
    """Machin's formula in whole numbers."""

    def arctan(inverse: int, unit: int) -> int:
        term = total = unit // inverse
        for n in itertools.count(3, 2):
            term = -term // inverse**2
            if term in (0, -1):
                return total
            total += term // n
        raise AssertionError

    unit = 10 ** (count + 10)
    return str(4 * (4 * arctan(5, unit) - arctan(239, unit)))[:count]


TEXTS = {
    "primes": ", ".join(map(str, primes(6000))),
    "primes in words": "\n".join(f"{n} is a prime number, as nothing divides it." for n in primes(1500)),
    "pi": "3." + digits_of_pi(2000),
    "table": "| Day | Hours |\n|---|---|\n" + "\n".join(f"| {day} | {day * 8} |" for day in range(300)),
    "wide rule": "|" + "---|" * 40 + "\n" + "=" * 120 + "\n",
    "multiplication": "\n".join(f"{a} x {b} = {a * b}" for a in range(1, 20) for b in range(1, 20)),
    "fraction": str(Fraction(1, 7)) + " = 0." + "142857" * 30,
    "code": "\n".join(f"    case {n}:\n        return handle_{n}(value)" for n in range(200)),
    "zeros": "[" + ", ".join(["0"] * 60) + "]",
}


@pytest.mark.parametrize("name", TEXTS)
def test_no_alarm_on_what_only_looks_alike(tokenizer: Tokenizer, name: str) -> None:
    assert first_alarm(tokenizer.encode_text(TEXTS[name])) is None
