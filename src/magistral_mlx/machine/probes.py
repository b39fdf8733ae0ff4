"""Read memory and swap: MLX, this process, the system."""

import sys

from magistral_mlx.machine.telemetry import Probe, Telemetry


def probes_of_this_machine() -> tuple[Probe, ...]:
    """Return the probes of the calling process."""
    if sys.platform == "darwin":
        from magistral_mlx.machine.mac_sensors import mac_probes

        return (MlxMemory(), *mac_probes(), SystemMemory())
    return (MlxMemory(), SystemMemory())


def memory_probes() -> tuple[Probe, ...]:
    """Return the memory probes alone: quick, without background work."""
    if sys.platform == "darwin":
        from magistral_mlx.machine.mac_sensors import MacFootprint

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
    """Return the working set in bytes that Metal recommends, from `mx.device_info()`, or None."""
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
