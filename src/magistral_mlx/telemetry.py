"""What is in use right now: one sample of memory figures, taken by probes that may each be absent.

A sensor that does not exist or fails gives None, never zero. Importing this loads neither MLX nor psutil.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Telemetry:
    """One sample; all figures in bytes, None where this machine has no such sensor."""

    active_bytes: int | None = None
    """Held by MLX arrays."""
    cache_bytes: int | None = None
    """Freed by MLX but kept by its allocator for reuse."""
    peak_bytes: int | None = None
    """The highest `active_bytes` so far."""
    recommended_bytes: int | None = None
    """What Metal recommends as the working set of the GPU; None without Metal."""
    footprint_bytes: int | None = None
    """What the system charges to the engine's process: physical footprint on macOS, else the resident set."""
    available_bytes: int | None = None
    """What other programs and caches would give up without swapping."""
    total_bytes: int | None = None
    """The machine's memory."""
