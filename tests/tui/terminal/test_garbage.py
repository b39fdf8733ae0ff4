"""The app's collector: new garbage goes soon, old garbage when nobody looks, nothing is scanned twice."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from magistral_mlx_tui.terminal.garbage import IDLE_SECONDS, Tenure


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
def tenure(clock: list[float]) -> Iterator[Tenure]:
    made = Tenure(now=lambda: clock[0])
    made.start()
    yield made
    made.stop()


def test_new_garbage_goes_with_the_next_tick(tenure: Tenure) -> None:
    garbage = _loop()
    tenure.tick()
    assert garbage() is None


def test_what_survives_a_tick_is_not_looked_at_again(tenure: Tenure) -> None:
    kept = [_Loop() for _ in range(1000)]
    before = gc.get_freeze_count()
    tenure.tick()
    assert gc.get_freeze_count() >= before + 1000
    assert not any(isinstance(one, _Loop) for one in gc.get_objects())
    assert len(kept) == 1000


def test_old_garbage_goes_when_nothing_has_happened_for_long(tenure: Tenure, clock: list[float]) -> None:
    old = _Loop()
    gone = weakref.ref(old)
    tenure.touch()
    tenure.tick()
    del old
    tenure.tick()
    assert gone() is not None, "tenured: only a sweep finds it"
    clock[0] += IDLE_SECONDS
    tenure.tick()
    assert gone() is None


def test_there_is_one_sweep_for_each_quiet_time(tenure: Tenure, clock: list[float]) -> None:
    tenure.touch()
    clock[0] += IDLE_SECONDS
    tenure.tick()
    old = _Loop()
    gone = weakref.ref(old)
    tenure.tick()
    del old
    clock[0] += 10 * IDLE_SECONDS
    tenure.tick()
    assert gone() is not None
    tenure.touch()
    clock[0] += IDLE_SECONDS
    tenure.tick()
    assert gone() is None


def test_the_collector_is_given_back_as_it_was() -> None:
    before = gc.get_threshold()
    tenure = Tenure()
    tenure.start()
    assert gc.get_threshold() != before
    assert gc.get_freeze_count() > 0
    tenure.stop()
    tenure.stop()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
    tenure.tick()
    assert gc.get_freeze_count() == 0


def test_a_start_switches_on_what_was_off() -> None:
    gc.disable()
    tenure = Tenure()
    tenure.start()
    tenure.stop()
    assert gc.isenabled()
