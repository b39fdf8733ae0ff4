"""The speedometer, on a clock that the test turns."""

import pytest

from magistral_mlx.engine.gauges import Gauges, Speeds
from magistral_mlx.events import Stats


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def generate(gauges: Gauges, clock: Clock, tokens: int, every: float) -> None:
    for _ in range(tokens):
        gauges.generated(1)
        clock.now += every


def test_nothing_is_known_before_the_first_token(clock: Clock) -> None:
    gauges = Gauges(clock)
    assert gauges.read() == Speeds(None, None, None, 0)
    gauges.begin()
    clock.now += 2
    gauges.prompt(300)
    assert gauges.read() == Speeds(None, None, None, 300)


def test_a_steady_speed_is_shown_from_the_first_second_on(clock: Clock) -> None:
    gauges = Gauges(clock)
    gauges.begin()
    clock.now += 3
    generate(gauges, clock, tokens=10, every=0.05)
    early = gauges.read()
    assert early.tokens_per_second == pytest.approx(18, rel=0.01)  # 9 steps in the half second
    assert early.average == pytest.approx(20)
    assert early.time_to_first_token == pytest.approx(3)
    generate(gauges, clock, tokens=40, every=0.05)
    assert gauges.read().tokens_per_second == pytest.approx(20, rel=0.06)
    assert gauges.read().context_used == 50


def test_now_forgets_and_the_average_does_not(clock: Clock) -> None:
    gauges = Gauges(clock)
    gauges.begin()
    generate(gauges, clock, tokens=21, every=0.05)
    clock.now += 5
    slow = gauges.read()
    assert slow.tokens_per_second == 0
    assert slow.average == pytest.approx(20)


def test_a_first_piece_of_many_tokens_counts_as_prefill(clock: Clock) -> None:
    gauges = Gauges(clock)
    gauges.begin()
    gauges.generated(50)
    clock.now += 0.5
    gauges.generated(5)
    assert gauges.read().average == pytest.approx(10)


def test_the_exact_figures_stay_after_the_end(clock: Clock) -> None:
    gauges = Gauges(clock)
    gauges.begin()
    gauges.prompt(100)
    generate(gauges, clock, tokens=10, every=0.1)
    stats = Stats(
        prompt_tokens=100,
        reasoning_tokens=8,
        answer_tokens=4,
        time_to_first_token=0.4,
        decode_tokens_per_second=11.0,
    )
    gauges.end(stats)
    assert gauges.read() == Speeds(None, 11.0, 0.4, 112)
    gauges.begin()
    assert gauges.read() == Speeds(None, None, None, 112)
    gauges.forget()
    assert gauges.read() == Speeds(None, None, None, 0)


def test_an_answer_without_tokens_has_no_speed(clock: Clock) -> None:
    gauges = Gauges(clock)
    gauges.begin()
    gauges.end(Stats(prompt_tokens=5))
    assert gauges.read() == Speeds(None, None, None, 5)
