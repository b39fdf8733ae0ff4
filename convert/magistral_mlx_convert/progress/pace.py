"""Speed, time left and memory of a conversion."""

import resource
import sys
import time
from pathlib import Path

import psutil

from magistral_mlx_convert.progress.events import Progress, Stage


class Pace:
    """Measures from the first event of each stage on."""

    def __init__(self) -> None:
        self._stage: Stage | None = None
        self._started = 0.0

    def enter(self, stage: Stage) -> bool:
        """Notes the stage of an event; True for the first event of a stage."""
        if stage is self._stage:
            return False
        self._stage, self._started = stage, time.monotonic()
        return True

    def seconds(self) -> float:
        """Since the first event of this stage."""
        return time.monotonic() - self._started

    def bytes_per_second(self, progress: Progress) -> float | None:
        """Bytes of the source that this run converts per second; None before there is any."""
        return speed(progress, seconds=self.seconds())

    def seconds_left(self, progress: Progress) -> float | None:
        """Seconds left at the speed so far."""
        now = self.bytes_per_second(progress)
        return None if now is None else (progress.bytes_total - progress.bytes_done) / now


def speed(progress: Progress, *, seconds: float) -> float | None:
    """Bytes per second, without what an earlier run had done; None before there is any."""
    fresh = progress.bytes_done - progress.bytes_kept
    return fresh / seconds if fresh > 0 and seconds > 0 else None


def memory_bytes() -> int:
    """Memory that this process uses now (RSS)."""
    return int(psutil.Process().memory_info().rss)


def peak_memory_bytes() -> int:
    """Most memory that this process has used (peak RSS)."""
    status = Path("/proc/self/status")
    if status.exists():
        # Linux' ru_maxrss begins with what the process that started this one held; in KiB, as here.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
