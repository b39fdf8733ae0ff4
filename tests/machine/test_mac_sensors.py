"""What only a Mac senses, with fakes in place of the system's functions; elsewhere every sensor is absent."""

import ctypes
import json
import plistlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.machine import mac_sensors
from magistral_mlx.machine.mac_sensors import (
    STALE_SECONDS,
    Background,
    MacFootprint,
    MacPressure,
    MacThermal,
    gpu_reading,
    gpu_readings,
    mac_probes,
    macmon_reading,
    macmon_readings,
)
from magistral_mlx.machine.telemetry import MemoryPressure, Telemetry, ThermalState, sample

elsewhere = pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has these sensors")


def test_the_mac_footprint_is_read_at_its_place_in_the_struct() -> None:
    def proc_pid_rusage(process: int, flavor: int, buffer: object) -> int:
        assert (process > 0, flavor) == (True, 0)
        # rusage_info_v0: a uuid of 16 bytes, then eleven 64-bit counters; phys_footprint is the eighth.
        counters = ctypes.cast(buffer, ctypes.POINTER(ctypes.c_uint64))  # type: ignore[arg-type]  # a byref
        counters[2 + 7] = 123_456_789
        return 0

    assert MacFootprint(proc_pid_rusage).read() == Telemetry(footprint_bytes=123_456_789)


def test_a_mac_that_refuses_its_footprint_has_none() -> None:
    assert MacFootprint(lambda process, flavor, buffer: -1).read() == Telemetry()


@elsewhere
def test_elsewhere_there_is_no_mac_footprint() -> None:
    assert MacFootprint().read() == Telemetry()


@pytest.mark.parametrize(
    ("level", "pressure"),
    [
        (1, MemoryPressure.NORMAL),
        (2, MemoryPressure.WARNING),
        (4, MemoryPressure.CRITICAL),
        (0, None),
        (None, None),
    ],
)
def test_the_kernels_pressure_level(level: int | None, pressure: MemoryPressure | None) -> None:
    def sysctl(name: str) -> int | None:
        assert name == "kern.memorystatus_vm_pressure_level"
        return level

    assert MacPressure(sysctl).read() == Telemetry(pressure=pressure)


@pytest.mark.parametrize(
    ("state", "thermal"),
    [
        (0, ThermalState.NOMINAL),
        (2, ThermalState.SERIOUS),
        (3, ThermalState.CRITICAL),
        (9, None),
        (None, None),
    ],
)
def test_the_thermal_state(state: int | None, thermal: ThermalState | None) -> None:
    assert MacThermal(lambda: state).read() == Telemetry(thermal=thermal)


def registry(*percents: object) -> bytes:
    """What `ioreg -a` prints for accelerators so busy."""
    return plistlib.dumps(
        [
            {"IOClass": "AGXAcceleratorG14X", "PerformanceStatistics": {"Device Utilization %": percent}}
            for percent in percents
        ]
    )


def test_the_busiest_accelerator_counts() -> None:
    assert gpu_reading(registry(37)) == Telemetry(gpu_busy=0.37)
    assert gpu_reading(registry(0, 100)) == Telemetry(gpu_busy=1.0)


@pytest.mark.parametrize(
    "output", [b"", b"ioreg: error", plistlib.dumps({}), plistlib.dumps([{}]), registry("a lot"), registry()]
)
def test_a_registry_without_the_figure(output: bytes) -> None:
    assert gpu_reading(output) == Telemetry()


def test_power_in_the_words_of_both_generations_of_macmon() -> None:
    older = {"all_power": 9.1, "gpu_power": 7.5, "sys_power": 21.0, "temp": {"gpu_temp_avg": 50}}
    newer = {"power": {"package": 9.1, "gpu": 7.5, "board": 21.0}, "usage": {"gpu": []}}
    expected = Telemetry(gpu_watts=7.5, system_watts=21.0)
    assert macmon_reading(json.dumps(older).encode()) == expected
    assert macmon_reading(json.dumps(newer).encode()) == expected


@given(
    st.binary()
    | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(lambda x: json.dumps(x).encode())
)
def test_whatever_macmon_says_is_no_failure(line: bytes) -> None:
    assert macmon_reading(line) == Telemetry()


def test_a_program_in_place_of_macmon(tmp_path: Path) -> None:
    program = tmp_path / "macmon"
    program.write_text('#!/bin/sh\necho "$@" >&2\necho \'{"gpu_power": 3}\'\necho nonsense\n')
    program.chmod(0o755)
    assert list(macmon_readings(str(program))) == [Telemetry(gpu_watts=3.0), Telemetry()]
    assert list(macmon_readings(str(tmp_path / "none"))) == []


def test_a_slow_sensor_is_read_in_the_background_and_gets_old() -> None:
    read, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def readings() -> Iterator[Telemetry]:
        yield Telemetry(gpu_busy=0.5)
        read.set()
        go_on.wait()
        yield Telemetry(gpu_busy=0.7)
        ended.set()

    now = [100.0]
    probe = Background(readings, clock=lambda: now[0])
    assert probe.read() == Telemetry()
    read.wait()
    assert probe.read() == Telemetry(gpu_busy=0.5)
    now[0] += STALE_SECONDS + 1
    assert probe.read() == Telemetry()
    go_on.set()
    ended.wait()
    assert probe.read() == Telemetry(gpu_busy=0.7)


@elsewhere
def test_elsewhere_every_sensor_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mac_sensors.shutil, "which", lambda program: None)
    assert sample(mac_probes()) == Telemetry()
    assert list(gpu_readings()) == []
    assert mac_sensors.sysctl_integer("hw.memsize") is None
