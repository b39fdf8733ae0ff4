"""Progress for people: one line that rewrites itself on a terminal, a plain line now and then elsewhere."""

import os
import shutil
import time
from threading import Lock
from types import TracebackType
from typing import TextIO

from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.storage.units import format_disk, format_memory, format_rate
from magistral_mlx_convert.progress.events import Progress, Stage
from magistral_mlx_convert.progress.pace import Pace, memory_bytes, peak_memory_bytes, speed

_REDRAW_SECONDS = 0.1
_PLAIN_SECONDS = 10.0
_BAR_CELLS, _LEAST_CELLS = 20, 5

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
        self._pace = Pace()
        self._next = 0.0
        self._drawn = False

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wipe()

    def show(self, progress: Progress) -> None:
        """Take an event; redraw at most ten times a second."""
        if progress.note:
            self.say(progress.note)
            return
        if progress.stage is Stage.PREFLIGHT:
            return  # facts for programs; people get them as notes
        with self._lock:
            now = time.monotonic()
            if self._pace.enter(progress.stage):
                self._next = now if self._redraws else now + self._every
            if now >= self._next:
                self._next = now + self._every
                columns = shutil.get_terminal_size().columns - 1 if self._redraws else 200
                self._draw(describe(progress, seconds=self._pace.seconds(), columns=columns))

    def say(self, text: str) -> None:
        """Print a line of its own."""
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


def describe(progress: Progress, *, seconds: float, columns: int = 200) -> str:
    """One line: share, bytes, tensors, speed, time left, memory, and what is fetched of an arriving source.

    Args:
        seconds: since the first event of the stage.
        columns: the bar shrinks to them, then what matters least is left out.
    """
    if progress.stage is Stage.PUBLISH:
        return "publishing"
    if progress.stage is Stage.CALIBRATE:
        return (
            f"calibrating layer {progress.tensors_done + 1}/{progress.tensors_total}  "
            f"memory {format_memory(memory_bytes())}, peak {format_memory(peak_memory_bytes())}"
        )
    if progress.stage is Stage.COMPARE:
        return (
            f"comparing source and result  {progress.tensors_done}/{progress.tensors_total} steps  "
            f"RAM {format_memory(memory_bytes())}, peak {format_memory(peak_memory_bytes())}"
        )
    ranked = sorted(_parts(progress, seconds))
    while len(ranked) > 1 and _width(progress, [part for _, part in ranked]) + _LEAST_CELLS > columns:
        ranked.pop()
    kept = {part for _, part in ranked}
    parts = [part for _, part in _parts(progress, seconds) if part in kept]
    cells = min(max(columns - _width(progress, parts), _LEAST_CELLS), _BAR_CELLS)
    share = progress.bytes_done / progress.bytes_total if progress.bytes_total else 0.0
    filled = round(share * cells)
    return "  ".join([f"{progress.stage.value} {'━' * filled}{'┄' * (cells - filled)}", *parts])


def _width(progress: Progress, parts: list[str]) -> int:
    return len(f"{progress.stage.value} ") + sum(len(part) + 2 for part in parts)


def _parts(progress: Progress, seconds: float) -> list[tuple[int, str]]:
    """In the order in which they are shown, each with its rank: what ranks last goes first."""
    share = progress.bytes_done / progress.bytes_total if progress.bytes_total else 0.0
    parts = [
        (0, f"{100 * share:3.0f} %"),
        (3, f"{format_disk(progress.bytes_done)} of {format_disk(progress.bytes_total)}"),
    ]
    if progress.bytes_to_fetch:
        fetched = 100 * progress.bytes_fetched / progress.bytes_to_fetch
        parts.append((4, f"{fetched:.0f} % fetched"))
    if progress.tensors_total:
        parts.append((6, f"{progress.tensors_done}/{progress.tensors_total} tensors"))
    if (pace := speed(progress, seconds=seconds)) is not None:
        parts.append((2, format_rate(pace)))
        parts.append((1, f"{_duration((progress.bytes_total - progress.bytes_done) / pace)} left"))
    parts.append((5, f"RAM {format_memory(memory_bytes())}, peak {format_memory(peak_memory_bytes())}"))
    return parts


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
