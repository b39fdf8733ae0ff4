"""Telemetry: an absent sensor is None, never zero; gauges load nothing themselves."""

import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from magistral_mlx.machine.probes import (
    MlxMemory,
    SystemMemory,
    probes_of_this_machine,
    recommended_working_set,
)
from magistral_mlx.machine.telemetry import Telemetry, sample


class Fixed:
    """A probe with a constant reading."""

    def __init__(self, reading: Telemetry) -> None:
        self._reading = reading

    def read(self) -> Telemetry:
        return self._reading


def test_probes_add_up_and_the_first_one_counts() -> None:
    first = Fixed(Telemetry(footprint_bytes=7, cache_bytes=0))
    second = Fixed(Telemetry(footprint_bytes=9, cache_bytes=3, total_bytes=10))
    assert sample([first, second]) == Telemetry(footprint_bytes=7, cache_bytes=0, total_bytes=10)


def test_no_probe_no_figures() -> None:
    assert sample([]) == Telemetry()


def test_this_machine_knows_its_memory() -> None:
    now = sample(probes_of_this_machine())
    assert now.total_bytes == psutil.virtual_memory().total
    assert now.footprint_bytes is not None
    assert now.footprint_bytes > 2**20
    assert now.available_bytes


def test_a_failing_sensor_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "virtual_memory", refuse)
    assert SystemMemory().read() == Telemetry()


def test_a_failing_probe_spoils_no_other() -> None:
    class Broken:
        def read(self) -> Telemetry:
            raise RuntimeError("[metal] no device")

    assert sample([Broken(), Fixed(Telemetry(total_bytes=5))]) == Telemetry(total_bytes=5)


def test_mlx_counts_its_arrays() -> None:
    import mlx.core as mx

    held = mx.zeros((1000, 1000))
    mx.eval(held)  # pyright: ignore[reportUnknownMemberType]  # mlx leaves *args without types
    reading = MlxMemory().read()
    assert reading.active_bytes is not None
    assert reading.active_bytes >= held.nbytes
    assert reading.peak_bytes is not None
    assert reading.peak_bytes >= reading.active_bytes
    assert reading.cache_bytes is not None


def test_without_metal_nothing_is_recommended() -> None:
    assert recommended_working_set({"architecture": "x86_64"}) is None
    assert recommended_working_set({"max_recommended_working_set_size": 0}) is None
    assert recommended_working_set({"max_recommended_working_set_size": 22 * 2**30}) == 22 * 2**30


def test_swap_is_told_with_what_it_grew_by(monkeypatch: pytest.MonkeyPatch) -> None:
    used = iter([5000, 7000, 4000])
    monkeypatch.setattr(psutil, "swap_memory", lambda: SimpleNamespace(used=next(used)))
    probe = SystemMemory()
    readings = [probe.read() for _ in range(3)]
    assert [reading.swap_bytes for reading in readings] == [5000, 7000, 4000]
    assert [reading.swap_grown_bytes for reading in readings] == [0, 2000, -1000]


def test_memory_is_known_where_swap_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise FileNotFoundError("/proc/vmstat")

    monkeypatch.setattr(psutil, "swap_memory", refuse)
    reading = SystemMemory().read()
    assert reading.total_bytes
    assert reading.swap_bytes is None
    assert reading.swap_grown_bytes is None


def test_gauges_load_nothing() -> None:
    code = """
import sys
from magistral_mlx.machine.probes import probes_of_this_machine
from magistral_mlx.machine.telemetry import sample
assert not {"mlx", "psutil", "mlx.core"} & set(sys.modules)
now = sample(probes_of_this_machine())
assert now.active_bytes is None and now.total_bytes
assert "mlx.core" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
