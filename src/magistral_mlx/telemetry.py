"""What is in use right now: one sample of memory figures, taken by probes that may each be absent.

A sensor that does not exist or fails gives None, never zero. Importing this loads neither MLX nor psutil.
"""

import ctypes
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Telemetry:
    """One sample; all figures in bytes, None where this machine has no such sensor."""

    active_bytes: int | None = None
    """Held by MLX arrays."""
    cache_bytes: int | None = None
    """Freed by MLX but kept by its allocator for reuse."""
    peak_bytes: int | None = None
    """The highest `active_bytes` of this answer, or since the start."""
    recommended_bytes: int | None = None
    """What Metal recommends as the working set of the GPU; None without Metal."""
    footprint_bytes: int | None = None
    """What the system charges to the engine's process: physical footprint on macOS, else the resident set."""
    available_bytes: int | None = None
    """What other programs and caches would give up without swapping."""
    total_bytes: int | None = None
    """The machine's memory."""


class Probe(Protocol):
    """One sensor, or a few that are read together."""

    def read(self) -> Telemetry:
        """The figures that this probe knows, None for all others."""
        ...


def sample(probes: Sequence[Probe]) -> Telemetry:
    """One sample of all probes; where two know the same figure, the first one counts.

    A probe that fails is absent this time: a gauge must never end what it watches.
    """
    readings = [_reading(probe) for probe in probes]
    figures: dict[str, int | None] = {}
    for field in fields(Telemetry):
        known = (getattr(reading, field.name) for reading in readings)
        figures[field.name] = next((value for value in known if value is not None), None)
    return Telemetry(**figures)


def _reading(probe: Probe) -> Telemetry:
    try:
        return probe.read()
    except (OSError, RuntimeError, ValueError) as error:  # of the system, of MLX
        _log.debug("%s has no reading: %s", type(probe).__name__, error)
        return Telemetry()


def probes_of_this_machine() -> tuple[Probe, ...]:
    """The probes for the process that calls this."""
    footprint = (MacFootprint(),) if sys.platform == "darwin" else ()
    return (MlxMemory(), *footprint, SystemMemory())


class MlxMemory:
    """What MLX's allocator counts, and the working set that Metal recommends.

    Knows nothing until something else has imported MLX: a gauge must not load it.
    """

    def read(self) -> Telemetry:
        if "mlx.core" not in sys.modules:
            return Telemetry()
        import mlx.core as mx  # waits for an import that another thread is at

        active = mx.get_active_memory()
        return Telemetry(
            active_bytes=active,
            cache_bytes=mx.get_cache_memory(),
            peak_bytes=max(active, mx.get_peak_memory()),  # a peak that was just reset starts at 0
            recommended_bytes=recommended_working_set(mx.device_info()),
        )


def recommended_working_set(device_info: "dict[str, str | int]") -> int | None:
    """The working set in bytes that Metal recommends, from `mx.device_info()`; other backends name none."""
    value = device_info.get("max_recommended_working_set_size")
    return value if isinstance(value, int) and value > 0 else None


class SystemMemory:
    """Total and available memory of the machine, and the resident set of this process, from psutil."""

    def read(self) -> Telemetry:
        import psutil

        try:
            memory = psutil.virtual_memory()
            resident = psutil.Process().memory_info().rss
        except (psutil.Error, OSError):
            return Telemetry()
        return Telemetry(footprint_bytes=resident, available_bytes=memory.available, total_bytes=memory.total)


class _RusageInfoV0(ctypes.Structure):
    """`struct rusage_info_v0` of <sys/resource.h> on macOS."""

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
