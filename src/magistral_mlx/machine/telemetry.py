"""Read what is in use now: one sample of the machine's figures, taken by probes that may each be absent.

A sensor that does not exist or fails gives None, never zero. Importing this loads neither MLX nor psutil. The
sensors that only a Mac has are in `mac_sensors.py`.
"""

import logging
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
    """Bytes that Metal recommends as the GPU's working set; None without Metal."""
    footprint_bytes: int | None = None
    """Bytes charged to the engine's process: physical footprint on macOS, else the resident set."""
    available_bytes: int | None = None
    """Bytes that other programs and caches can free without swapping."""
    total_bytes: int | None = None
    """Bytes of the machine's memory."""
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
    """Watts of the whole machine, screen included."""


class Probe(Protocol):
    """One sensor, or a few that are read together."""

    def read(self) -> Telemetry:
        """Return the figures that this probe knows, None for all others."""
        ...


def sample(probes: Sequence[Probe]) -> Telemetry:
    """Take one sample of all probes; where two know the same figure, the first one counts.

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
