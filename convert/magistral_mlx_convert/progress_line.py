"""Progress for people: one line that rewrites itself on a terminal, a plain line now and then elsewhere."""

import os
import resource
import shutil
import sys
import time
from threading import Lock
from types import TracebackType
from typing import TextIO

from magistral_mlx.sanitize import sanitize_line
from magistral_mlx_convert.progress import Progress, Stage
from magistral_mlx_convert.workplace import in_gb

_REDRAW_SECONDS = 0.1
_PLAIN_SECONDS = 10.0
_BAR_CELLS = 20

_CLEAR = "\r\x1b[2K"


class ProgressLine:
    """Shows `Progress` on `stream`. Use it as a context manager, so that the line is cleared at the end.

    A terminal that asks for nothing but text (`TERM=dumb`) gets plain lines too. Any thread may call it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._redraws = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._every = _REDRAW_SECONDS if self._redraws else _PLAIN_SECONDS
        self._lock = Lock()
        self._stage: Stage | None = None
        self._started = 0.0
        self._next = 0.0
        self._drawn = False

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wipe()

    def show(self, progress: Progress) -> None:
        """Takes every event; draws as often as is useful."""
        if progress.note:
            self.say(progress.note)
            return
        with self._lock:
            now = time.monotonic()
            if progress.stage is not self._stage:
                self._stage, self._started = progress.stage, now
                self._next = now if self._redraws else now + self._every
            if now >= self._next:
                self._next = now + self._every
                self._draw(describe(progress, seconds=now - self._started))

    def say(self, text: str) -> None:
        """A line of its own."""
        with self._lock:
            self._wipe()
            self._write(sanitize_line(text) + "\n")

    def _draw(self, text: str) -> None:
        if not self._redraws:
            self._write(text + "\n")
            return
        self._write(_CLEAR + text[: max(shutil.get_terminal_size().columns - 1, 10)])
        self._drawn = True

    def _wipe(self) -> None:
        if self._drawn:
            self._write(_CLEAR)
            self._drawn = False

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def describe(progress: Progress, *, seconds: float) -> str:
    """One line: share, bytes, tensors, speed, time left, memory. `seconds` since the first event."""
    if progress.stage is Stage.PUBLISH:
        return "publishing"
    if progress.stage is Stage.COMPARE:
        return (
            f"comparing source and result  {progress.tensors_done}/{progress.tensors_total} steps  "
            f"peak memory {in_gb(peak_memory_bytes())}"
        )
    share = progress.bytes_done / progress.bytes_total if progress.bytes_total else 0.0
    filled = round(share * _BAR_CELLS)
    parts = [
        f"{progress.stage.value} {'━' * filled}{'┄' * (_BAR_CELLS - filled)} {100 * share:3.0f} %",
        f"{in_gb(progress.bytes_done)} of {in_gb(progress.bytes_total)}",
    ]
    if progress.tensors_total:
        parts.append(f"{progress.tensors_done}/{progress.tensors_total} tensors")
    fresh = progress.bytes_done - progress.bytes_kept
    if fresh > 0 and seconds > 0:
        speed = fresh / seconds
        parts.append(f"{speed / 1e6:.0f} MB/s")
        parts.append(f"{_duration((progress.bytes_total - progress.bytes_done) / speed)} left")
    parts.append(f"peak memory {in_gb(peak_memory_bytes())}")
    return "  ".join(parts)


def peak_memory_bytes() -> int:
    """The most memory this process has held; macOS counts in bytes, Linux in KiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
