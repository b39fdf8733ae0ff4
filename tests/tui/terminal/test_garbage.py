"""The app's collector: new garbage goes soon, old garbage when nobody looks, nothing is scanned twice."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from magistral_mlx_tui.terminal.garbage import IDLE_SECONDS, Collector


class _Loop:
    """Refers to itself: only the cyclic collector can free it."""

    def __init__(self) -> None:
        self.me = self


def _loop() -> weakref.ref[_Loop]:
    return weakref.ref(_Loop())


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


@pytest.fixture
def collector(clock: list[float]) -> Iterator[Collector]:
    made = Collector(now=lambda: clock[0])
    made.start()
    yield made
    made.stop()


def test_new_garbage_goes_with_the_next_tick(collector: Collector) -> None:
    garbage = _loop()
    collector.tick()
    assert garbage() is None


def test_what_survives_a_tick_is_not_looked_at_again(collector: Collector) -> None:
    kept = [_Loop() for _ in range(1000)]
    before = gc.get_freeze_count()
    collector.tick()
    assert gc.get_freeze_count() >= before + 1000
    assert not any(isinstance(one, _Loop) for one in gc.get_objects())
    assert len(kept) == 1000


def test_old_garbage_goes_after_a_long_idle_time(collector: Collector, clock: list[float]) -> None:
    old = _Loop()
    gone = weakref.ref(old)
    collector.touch()
    collector.tick()
    del old
    collector.tick()
    assert gone() is not None, "tenured: only a sweep finds it"
    clock[0] += IDLE_SECONDS
    collector.tick()
    assert gone() is None


def test_there_is_one_sweep_for_each_quiet_time(collector: Collector, clock: list[float]) -> None:
    collector.touch()
    clock[0] += IDLE_SECONDS
    collector.tick()
    old = _Loop()
    gone = weakref.ref(old)
    collector.tick()
    del old
    clock[0] += 10 * IDLE_SECONDS
    collector.tick()
    assert gone() is not None
    collector.touch()
    clock[0] += IDLE_SECONDS
    collector.tick()
    assert gone() is None


def test_the_collector_is_given_back_as_it_was() -> None:
    before = gc.get_threshold()
    collector = Collector()
    collector.start()
    assert gc.get_threshold() != before
    assert gc.get_freeze_count() > 0
    collector.stop()
    collector.stop()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
    collector.tick()
    assert gc.get_freeze_count() == 0


def test_a_start_switches_on_what_was_off() -> None:
    gc.disable()
    collector = Collector()
    collector.start()
    collector.stop()
    assert gc.isenabled()
