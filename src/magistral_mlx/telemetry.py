"""What is in use right now: one sample of the machine's figures, taken by probes that may each be absent.

A sensor that does not exist or fails gives None, never zero. Importing this loads neither MLX nor psutil. The
sensors that only a Mac has are in `mac_sensors.py`.
"""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Protocol

_log = logging.getLogger(__name__)


class MemoryPressure(StrEnum):
    """How short of memory the whole machine is, by macOS's own measure."""

    NORMAL = "normal"
    WARNING = "warning"
    CRITICAL = "critical"


class ThermalState(StrEnum):
    """`NSProcessInfo.thermalState`; from SERIOUS on macOS slows the chip down."""

    NOMINAL = "nominal"
    FAIR = "fair"
    SERIOUS = "serious"
    CRITICAL = "critical"


@dataclass(frozen=True)
class Telemetry:
    """One sample; None where this machine has no such sensor."""

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
    swap_bytes: int | None = None
    """Swap in use on the whole machine."""
    swap_grown_bytes: int | None = None
    """How much more swap is in use than at the first sample; negative when it was given back."""
    pressure: MemoryPressure | None = None
    gpu_busy: float | None = None
    """Share of the time that the GPU works, whoever uses it: 0 to 1."""
    thermal: ThermalState | None = None
    gpu_watts: float | None = None
    system_watts: float | None = None
    """Of the whole machine, screen included."""


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
    figures: dict[str, Any] = {}
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
    if sys.platform == "darwin":
        from magistral_mlx.mac_sensors import mac_probes

        return (MlxMemory(), *mac_probes(), SystemMemory())
    return (MlxMemory(), SystemMemory())


def memory_probes() -> tuple[Probe, ...]:
    """The probes of memory alone: quick, and nothing goes on in the background afterwards."""
    if sys.platform == "darwin":
        from magistral_mlx.mac_sensors import MacFootprint

        return (MlxMemory(), MacFootprint(), SystemMemory())
    return (MlxMemory(), SystemMemory())


def swap_free() -> int | None:
    """Swap that is left, in bytes; None where it is not known, or grows as needed (macOS)."""
    if sys.platform == "darwin":
        return None
    import psutil

    try:
        return psutil.swap_memory().free
    except (psutil.Error, OSError, RuntimeError):
        return None


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
    """Memory and swap of the machine, and the resident set of this process, from psutil."""

    def __init__(self) -> None:
        self._swap_before: int | None = None

    def read(self) -> Telemetry:
        import psutil

        try:
            memory = psutil.virtual_memory()
            resident = psutil.Process().memory_info().rss
        except (psutil.Error, OSError):
            return Telemetry()
        swap = self._swap()
        if self._swap_before is None:
            self._swap_before = swap
        return Telemetry(
            footprint_bytes=resident,
            available_bytes=memory.available,
            total_bytes=memory.total,
            swap_bytes=swap,
            swap_grown_bytes=None if swap is None or self._swap_before is None else swap - self._swap_before,
        )

    def _swap(self) -> int | None:
        import psutil

        try:
            return psutil.swap_memory().used
        except (psutil.Error, OSError, RuntimeError):  # some containers show no /proc/vmstat
            return None
