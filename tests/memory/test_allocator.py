"""MLX's limits scale with the machine; the wired one is touched only when asked for, leaving a share."""

import mlx.core as mx
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.errors import UsageError
from magistral_mlx.memory import allocator
from magistral_mlx.memory.allocator import (
    GIB,
    allocator_cache_limit,
    give_memory_back,
    set_limits,
    wired_limit,
)

MACS = (16, 24, 32, 36, 48, 64, 96, 128)


class Calls:
    """What was set, by the name of MLX's function."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, total: int, recommended: int | None) -> None:
        self.made: dict[str, int] = {}
        for name in ("set_cache_limit", "set_memory_limit", "set_wired_limit"):
            monkeypatch.setattr(mx, name, lambda limit, name=name: self.made.update({name: limit}))
        info = {} if recommended is None else {"max_recommended_working_set_size": recommended}
        monkeypatch.setattr(mx, "device_info", lambda: info)
        memory = psutil.virtual_memory()._replace(total=total)
        monkeypatch.setattr(allocator.psutil, "virtual_memory", lambda: memory)


@pytest.mark.parametrize(
    ("machine", "limit"), [(2, 0.25), (8, 0.5), (16, 1), (24, 1.5), (32, 2), (48, 3), (64, 4), (128, 8)]
)
def test_the_allocator_keeps_a_share_of_the_machine(machine: int, limit: float) -> None:
    assert allocator_cache_limit(machine * GIB) == limit * GIB


@pytest.mark.parametrize("mac", MACS)
def test_limits_of_a_mac(monkeypatch: pytest.MonkeyPatch, mac: int) -> None:
    recommended = mac * GIB * 3 // 4
    calls = Calls(monkeypatch, total=mac * GIB, recommended=recommended)
    set_limits()
    assert calls.made == {"set_cache_limit": mac * GIB // 16, "set_memory_limit": recommended}


def test_elsewhere_there_is_only_the_cache_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(monkeypatch, total=24 * GIB, recommended=None)
    set_limits()
    assert calls.made == {"set_cache_limit": 24 * GIB // 16}


@pytest.mark.parametrize(
    ("mac", "gib"),
    [(16, 8), (24, 15.6), (32, 20.8), (36, 23.4), (48, 31.2), (64, 41.6), (96, 62.4), (128, 83.2)],
)
def test_wiring_leaves_35_percent_and_8_gb(monkeypatch: pytest.MonkeyPatch, mac: int, gib: float) -> None:
    calls = Calls(monkeypatch, total=mac * GIB, recommended=mac * GIB * 3 // 4)
    set_limits(wire=True)
    assert calls.made["set_wired_limit"] == pytest.approx(gib * GIB, abs=2)


@given(total=st.integers(1, 600 * GIB), recommended=st.integers(1, 600 * GIB))
def test_wiring_never_takes_more_than_it_may(total: int, recommended: int) -> None:
    limit = wired_limit(total, recommended)
    assert 0 <= limit <= recommended
    assert limit == 0 or (total - limit >= 8 * GIB and total - limit >= 0.35 * total - 1)


def test_metals_own_limit_holds_for_wiring_too() -> None:
    assert wired_limit(128 * GIB, 40 * GIB) == 40 * GIB


@pytest.mark.parametrize(
    ("total", "recommended", "words"), [(24, None, "a Mac with Metal"), (8, 5, "has 8.0 GiB")]
)
def test_wiring_where_it_cannot_be(
    monkeypatch: pytest.MonkeyPatch, total: int, recommended: int | None, words: str
) -> None:
    calls = Calls(
        monkeypatch, total=total * GIB, recommended=None if recommended is None else recommended * GIB
    )
    with pytest.raises(UsageError, match=words):
        set_limits(wire=True)
    assert calls.made == {}


@pytest.mark.parametrize(("system", "trimmed"), [("linux", [0]), ("darwin", [])])
def test_freed_memory_goes_back_to_the_system(
    monkeypatch: pytest.MonkeyPatch, system: str, trimmed: list[int]
) -> None:
    calls: list[int] = []

    class Library:
        malloc_trim = staticmethod(calls.append)

    monkeypatch.setattr(allocator.sys, "platform", system)
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: Library)
    give_memory_back()
    assert calls == trimmed
    assert mx.get_cache_memory() == 0


def test_a_c_library_without_trimming_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.sys, "platform", "linux")
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: object())
    give_memory_back()
