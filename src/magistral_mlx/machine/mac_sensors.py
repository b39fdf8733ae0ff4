"""The sensors that only macOS has, each a thin adapter over one function of the system.

None of them needs root. What is quick is read when asked; what takes milliseconds or a process of its own
(`ioreg`, `macmon`) is read in the background, so that no gauge waits for it.

Sources: `proc_pid_rusage` (<libproc.h>), `kern.memorystatus_vm_pressure_level` (<sys/sysctl.h>),
`NSProcessInfo.thermalState`, the IORegistry's "PerformanceStatistics" of the graphics accelerator, and, where
it is installed, macmon (https://github.com/vladkens/macmon), which reads Apple's power counters.
"""

import ctypes
import ctypes.util
import json
import os
import plistlib
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import cast

from magistral_mlx.machine.telemetry import MemoryPressure, Probe, Telemetry, ThermalState

GPU_INTERVAL = 2.0
"""Seconds between two looks at the IORegistry."""
STALE_SECONDS = 10.0
"""A reading from the background that is older counts as none."""

_PRESSURE = {1: MemoryPressure.NORMAL, 2: MemoryPressure.WARNING, 4: MemoryPressure.CRITICAL}
_THERMAL = tuple(ThermalState)


def mac_probes() -> tuple[Probe, ...]:
    """All sensors of a Mac; each of them may turn out to be absent."""
    macmon = shutil.which("macmon")
    power = (Background(lambda: macmon_readings(macmon)),) if macmon else ()
    return (MacFootprint(), MacPressure(), MacThermal(), Background(gpu_readings), *power)


class _RusageInfoV0(ctypes.Structure):
    """`struct rusage_info_v0` of <sys/resource.h>."""

    _fields_ = (
        ("uuid", ctypes.c_uint8 * 16),
        ("user_time", ctypes.c_uint64),
        ("system_time", ctypes.c_uint64),
        ("pkg_idle_wkups", ctypes.c_uint64),
        ("interrupt_wkups", ctypes.c_uint64),
        ("pageins", ctypes.c_uint64),
        ("wired_size", ctypes.c_uint64),
        ("resident_size", ctypes.c_uint64),
        ("phys_footprint", ctypes.c_uint64),
        ("proc_start_abstime", ctypes.c_uint64),
        ("proc_exit_abstime", ctypes.c_uint64),
    )


class MacFootprint:
    """This process's physical footprint, as Activity Monitor shows it; resident sets miss Metal memory.

    Reads `proc_pid_rusage` (libproc). Gives None where that function is missing or refuses.

    Args:
        proc_pid_rusage: takes (process id, flavor, pointer to the struct) and returns 0 on success.
    """

    def __init__(self, proc_pid_rusage: "Callable[[int, int, object], int] | None" = None) -> None:
        self._read = proc_pid_rusage or getattr(ctypes.CDLL(None), "proc_pid_rusage", None)

    def read(self) -> Telemetry:
        usage = _RusageInfoV0()
        flavor = 0  # RUSAGE_INFO_V0
        if self._read is None or self._read(os.getpid(), flavor, ctypes.byref(usage)) != 0:
            return Telemetry()
        return Telemetry(footprint_bytes=usage.phys_footprint)


class MacPressure:
    """The kernel's memory pressure: the colour of Activity Monitor's graph.

    Args:
        sysctl: the integer of a name, None where there is none.
    """

    def __init__(self, sysctl: Callable[[str], int | None] | None = None) -> None:
        self._sysctl = sysctl or sysctl_integer

    def read(self) -> Telemetry:
        level = self._sysctl("kern.memorystatus_vm_pressure_level")
        return Telemetry(pressure=_PRESSURE.get(level) if level is not None else None)


def sysctl_integer(name: str) -> int | None:
    """A 32-bit value of `sysctlbyname`; None where the system has no such function or name."""
    function = getattr(ctypes.CDLL(None), "sysctlbyname", None)
    if function is None:
        return None
    value, size = ctypes.c_int32(0), ctypes.c_size_t(ctypes.sizeof(ctypes.c_int32))
    status = function(name.encode(), ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0))
    return value.value if status == 0 else None


class MacThermal:
    """How hot macOS considers the machine.

    Args:
        thermal_state: `NSProcessInfo.thermalState`, 0 to 3; None where it cannot be asked.
    """

    def __init__(self, thermal_state: Callable[[], int | None] | None = None) -> None:
        self._state = thermal_state or thermal_state_of_this_mac

    def read(self) -> Telemetry:
        state = self._state()
        known = state is not None and 0 <= state < len(_THERMAL)
        return Telemetry(thermal=_THERMAL[cast("int", state)] if known else None)


def thermal_state_of_this_mac() -> int | None:
    """Asks the Objective-C runtime; None where there is none."""
    library = ctypes.util.find_library("objc")
    if library is None:
        return None
    objc = ctypes.CDLL(library)
    # NSProcessInfo lives there; loading it again costs nothing.
    ctypes.CDLL("/System/Library/Frameworks/Foundation.framework/Foundation")
    objc.objc_getClass.restype = objc.sel_registerName.restype = ctypes.c_void_p
    objc.objc_getClass.argtypes = objc.sel_registerName.argtypes = [ctypes.c_char_p]
    # On Apple silicon the function must be called with the exact types of the method.
    send_object = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(("objc_msgSend", objc))
    send_number = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)(("objc_msgSend", objc))
    info = send_object(objc.objc_getClass(b"NSProcessInfo"), objc.sel_registerName(b"processInfo"))
    return int(send_number(info, objc.sel_registerName(b"thermalState"))) if info else None


class Background:
    """A probe whose readings come from a thread of its own; the latest one counts, for a while.

    The thread begins with the first `read`, which therefore knows nothing. When the readings end, so does it.

    Args:
        readings: gives one sample after the other, at its own pace.
        clock: seconds that only grow.
    """

    def __init__(
        self, readings: Callable[[], Iterable[Telemetry]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._readings = readings
        self._clock = clock
        self._latest: tuple[float, Telemetry] | None = None
        self._thread: threading.Thread | None = None

    def read(self) -> Telemetry:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sensor", daemon=True)
            self._thread.start()
            return Telemetry()
        latest = self._latest
        if latest is None or self._clock() - latest[0] > STALE_SECONDS:
            return Telemetry()
        return latest[1]

    def _run(self) -> None:
        for reading in self._readings():
            self._latest = (self._clock(), reading)


def gpu_readings() -> Iterator[Telemetry]:
    """How busy the GPU is, every `GPU_INTERVAL` seconds; ends where `ioreg` does not work."""
    while True:
        try:
            answer = subprocess.run(
                ["/usr/sbin/ioreg", "-r", "-d1", "-c", "IOAccelerator", "-a"],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                check=True,
                timeout=STALE_SECONDS,
            )
        except (OSError, subprocess.SubprocessError):
            return
        yield gpu_reading(answer.stdout)
        time.sleep(GPU_INTERVAL)


def gpu_reading(registry: bytes) -> Telemetry:
    """The sample in what `ioreg -a` prints: a property list of accelerators."""
    try:
        accelerators: object = plistlib.loads(registry) if registry.strip() else []
    except (ValueError, plistlib.InvalidFileException):
        return Telemetry()
    listed = cast("list[object]", accelerators) if isinstance(accelerators, list) else []
    shares = [_share_of(each) for each in listed]
    return Telemetry(gpu_busy=max((share for share in shares if share is not None), default=None))


def _share_of(accelerator: object) -> float | None:
    percent = _number(_entry(_entry(accelerator, "PerformanceStatistics"), "Device Utilization %"))
    return None if percent is None else min(max(percent / 100, 0.0), 1.0)


def macmon_readings(program: str) -> Iterator[Telemetry]:
    """Power from `macmon pipe`, one line of JSON per second, until it ends.

    It ends by itself with this process: nobody reads its pipe then.
    """
    try:
        process = subprocess.Popen(
            [program, "pipe", "-i", "1000"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            yield macmon_reading(line)


def macmon_reading(line: bytes) -> Telemetry:
    """The sample in one line of macmon, in the words of its older and of its newer versions."""
    try:
        sample: object = json.loads(line)
    except ValueError:
        return Telemetry()
    power = _entry(sample, "power")
    return Telemetry(
        gpu_watts=_first_number(_entry(sample, "gpu_power"), _entry(power, "gpu")),
        system_watts=_first_number(_entry(sample, "sys_power"), _entry(power, "board")),
    )


def _entry(mapping: object, key: str) -> object:
    return cast("dict[str, object]", mapping).get(key) if isinstance(mapping, dict) else None


def _first_number(*values: object) -> float | None:
    return next((number for number in map(_number, values) if number is not None), None)


def _number(value: object) -> float | None:
    """A finite number as a float; JSON and property lists may hold anything."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        return None
    return float(value)
