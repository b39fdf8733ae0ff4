"""A conversion in its own process, while the app runs."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum

from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.storage.paths import models_directory

_RUN = "from magistral_mlx.commands.start import start; raise SystemExit(start())"
_KEPT_LINES = 5
_LONGEST_LINE = 2**16


class JobState(StrEnum):
    """State of a conversion; the value is the word on the screen."""

    RUNNING = "converting"
    DONE = "converted"
    FAILED = "failed"
    STOPPED = "stopped"


def target_name(source: str) -> str:
    """The name of the model that `source` becomes: its last part and the bits."""
    last = source.rstrip("/").rpartition("/")[2]
    plain = "".join(c if c.isalnum() or c in "-._" else "-" for c in last).lstrip(".-")
    return f"{plain or 'model'}-4bit"


def convert_command(source: str) -> Sequence[str]:
    """The command that converts `source` into the folder of installed models."""
    to = models_directory() / target_name(source)
    return (sys.executable, "-P", "-c", _RUN, "convert", source, "--to", str(to))


class ConversionJob:
    """One conversion at a time; an interrupted one resumes when it is started again.

    Args:
        on_change: called after each line and at the end.
        command: makes the command line for a source.
    """

    def __init__(
        self,
        on_change: Callable[[], None],
        *,
        command: Callable[[str], Sequence[str]] = convert_command,
    ) -> None:
        self._on_change = on_change
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._stopped = False
        self.source = ""
        self.state: JobState | None = None

    @property
    def line(self) -> str:
        """Its last line, safe for a screen."""
        return self._lines[-1] if self._lines else ""

    @property
    def words(self) -> str:
        """The state in one line; empty if there was no conversion."""
        if self.state is None:
            return ""
        return f"{target_name(self.source)} {self.state.value}{': ' if self.line else ''}{self.line}"

    async def run(self, source: str) -> bool:
        """Convert `source`; returns whether it succeeded."""
        self.source, self.state = source, JobState.RUNNING
        self._lines.clear()
        self._stopped = False
        self._on_change()
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                *self._command(source),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                limit=_LONGEST_LINE,
            )
        except OSError as error:
            return self._end(JobState.FAILED, str(error))
        assert process.stderr is not None
        async for raw in process.stderr:
            if line := sanitize_line(raw.decode("utf-8", "replace").rpartition("\r")[2].strip()):
                self._lines.append(line)
                self._on_change()
        code = await process.wait()
        if self._stopped:
            return self._end(JobState.STOPPED, "start it again to resume")
        if code != 0:
            return self._end(JobState.FAILED, "")
        return self._end(JobState.DONE, "F3 and Enter switch to it")

    def stop(self) -> None:
        """Stop it; the finished part stays for the next start."""
        if self._process is not None and self._process.returncode is None:
            self._stopped = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGINT)

    def _end(self, state: JobState, line: str) -> bool:
        self._process = None
        self.state = state
        if line:
            self._lines.append(sanitize_line(line))
        self._on_change()
        return state is JobState.DONE
