"""Runs a program on a terminal of its own, as a person would see it."""

import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?<>=]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\)|[@-Z\\-_])", re.DOTALL)


@dataclass(frozen=True)
class Shown:
    """What came out, escape sequences included, and how the program ended."""

    output: str
    exit_code: int


def run_on_a_terminal(
    program: Sequence[str], *, until: str, keys: str, columns: int = 120, rows: int = 40, seconds: float = 120
) -> Shown:
    """Start `program`, type `keys` once `until` is on the screen, and wait for its end.

    Raises:
        AssertionError: the text did not appear, or the program did not end, within `seconds`.
    """
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (rows, columns))
    environment = {**os.environ, "TERM": "xterm-256color"}
    process = subprocess.Popen(
        program, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    )
    os.close(slave)
    output, typed, deadline = b"", False, time.monotonic() + seconds
    try:
        while process.poll() is None or select.select([master], [], [], 0)[0]:
            assert time.monotonic() < deadline, f"no {until!r}, or no end: {_text(output)[-2000:]}"
            if select.select([master], [], [], 0.1)[0]:
                try:
                    output += os.read(master, 65536)
                except OSError:  # Linux: the other side is closed
                    break
            if not typed and until in _text(output):
                os.write(master, keys.encode())
                typed = True
        return Shown(output.decode(errors="replace"), process.wait(timeout=10))
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        os.close(master)


def _text(output: bytes) -> str:
    return _ESCAPES.sub("", output.decode(errors="replace"))
