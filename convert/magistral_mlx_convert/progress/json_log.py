"""Progress for programs: one JSON object a line, of these kinds (`event`):

`preflight`    sizes, disk, memory and speed, before any work; bytes and bytes per second
`progress`     about once a second: stage, bytes, tensors, speed, time left, memory
`note`         a message for people; `text`
`done`         the folder is there; `folder`
`error`        it is not; `problem` and `remedy`
`interrupted`  by Ctrl-C; the same command goes on

Every line has `time` (ISO 8601, UTC). Later versions may add keys and kinds.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import TextIO

from magistral_mlx.errors import MagistralError
from magistral_mlx_convert.progress.events import Progress, Stage
from magistral_mlx_convert.progress.pace import Pace, memory_bytes, peak_memory_bytes

_EVERY_SECONDS = 1.0


class JsonLog:
    """Writes to `stream`, from any thread.

    A log that can't be written any more (its reader went away, its disk is full) ends silently: the
    conversion is worth more than its log.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._pace = Pace()
        self._next = 0.0
        self._lock = Lock()
        self._broken = False

    def show(self, progress: Progress) -> None:
        """Take an event; write progress at most once a second."""
        if progress.facts:
            self._write("preflight", progress.facts)
        elif progress.note:
            if progress.stage is not Stage.PREFLIGHT:  # its facts are there already
                self._write("note", {"text": progress.note})
        elif self._is_due(progress):
            self._write("progress", self._moment(progress))

    def done(self, folder: Path) -> None:
        """The last line of a success."""
        self._write("done", {"folder": str(folder)})

    def failed(self, error: MagistralError) -> None:
        """The last line of a failure."""
        self._write("error", {"problem": error.problem, "remedy": error.remedy})

    def interrupted(self) -> None:
        """The last line after Ctrl-C."""
        self._write("interrupted", {})

    def _is_due(self, progress: Progress) -> bool:
        with self._lock:
            now = time.monotonic()
            fresh = self._pace.enter(progress.stage)
            last = bool(progress.bytes_total) and progress.bytes_done == progress.bytes_total
            if not fresh and not last and now < self._next:
                return False
            self._next = now + _EVERY_SECONDS
            return True

    def _moment(self, progress: Progress) -> dict[str, object]:
        moment: dict[str, object] = asdict(progress)
        for key in ("note", "facts"):
            del moment[key]
        moves = progress.stage is Stage.CONVERT
        speed = self._pace.bytes_per_second(progress) if moves else None
        left = self._pace.seconds_left(progress) if moves else None
        return moment | {
            "bytes_per_second": speed if speed is None else round(speed),
            "seconds_left": left if left is None else round(left),
            "memory_bytes": memory_bytes(),
            "peak_memory_bytes": peak_memory_bytes(),
        }

    def _write(self, event: str, values: Mapping[str, object]) -> None:
        line = json.dumps({"time": datetime.now(UTC).isoformat(), "event": event, **values})
        with self._lock:
            if self._broken:
                return
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except OSError:
                self._broken = True
