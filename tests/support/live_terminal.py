"""A program on a terminal of its own that can be typed into, read, resized and looked at after its death."""

import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyte

# Keyboard protocols that the emulator does not know; it would print their parameters.
_UNKNOWN = re.compile(rb"\x1b\[[<>=][0-9;]*[a-zA-Z]")
_RESTORING = (b"\x1b[?1049l", b"\x1b[?25h")
"""What must have been said to the terminal at the end: leave the second screen, show the cursor."""


class LiveTerminal:
    """Starts `program` at once; use it as a context manager.

    What the program draws is kept by an emulator, so that `text` is what a person would see now.
    """

    def __init__(self, program: Sequence[str], *, columns: int = 120, rows: int = 40) -> None:
        self._master, self._slave = pty.openpty()
        self._set_size(columns, rows)
        self.settings = termios.tcgetattr(self._slave)
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self.output = b""
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        # Workers of pytest-xdist inherit these from GNU readline; they would hide the terminal's own size.
        for name in ("COLUMNS", "LINES"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            program, stdin=self._slave, stdout=self._slave, stderr=self._slave, env=environment
        )

    def __enter__(self) -> "LiveTerminal":
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)
        os.close(self._slave)

    @property
    def text(self) -> str:
        """The screen, a line per row."""
        return "\n".join(self._screen.display)

    def type(self, keys: str) -> None:
        """Send keys as a terminal sends them."""
        os.write(self._master, keys.encode())

    def paste(self, text: str) -> None:
        """Send text as a terminal sends what is dropped on it."""
        self.type(f"\x1b[200~{text}\x1b[201~")

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        self._set_size(columns, rows)
        self._screen.resize(rows, columns)
        os.kill(self.process.pid, signal.SIGWINCH)

    def wait_for(self, *wanted: str, seconds: float = 120) -> None:
        """Wait until all of `wanted` is on the screen.

        Raises:
            AssertionError: it did not come; holds what was there instead.
        """
        self.wait_until(lambda: all(each in self.text for each in wanted), seconds, f"no {wanted!r}")

    def wait_until(self, condition: Callable[[], bool], seconds: float = 120, why: str = "") -> None:
        """Read what the program draws until `condition` holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{why}:\n{self.text}"
            self._pump()

    def wait_for_end(self, seconds: float = 120) -> int:
        """Wait until the program has ended; returns its exit code."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end:\n{self.text}"
            self._pump()
        while self._pump():
            pass
        return self.process.returncode

    @property
    def restored(self) -> bool:
        """Whether the terminal is as it was: its settings, its first screen, its cursor."""
        return termios.tcgetattr(self._slave) == self.settings and all(
            self.output.rfind(each) > self.output.rfind(each[:-1] + (b"h" if each[-1:] == b"l" else b"l"))
            for each in _RESTORING
        )

    def children(self) -> list[int]:
        """The processes that the program has started."""
        pids: list[int] = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self.process.pid:
                pids.append(int(status.parent.name))
        return pids

    def _pump(self) -> bool:
        if not select.select([self._master], [], [], 0.1)[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux: the other side is closed
            return False
        self.output += data
        self._stream.feed(_UNKNOWN.sub(b"", data))
        return True

    def _set_size(self, columns: int, rows: int) -> None:
        termios.tcsetwinsize(self._slave, (rows, columns))
