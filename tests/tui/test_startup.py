"""The first paint waits for nothing heavy, and the terminal is given back."""

import os
import pty
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

_HEAVY = (
    "mlx",
    "mlx_lm",
    "mlx_vlm",
    "numpy",
    "PIL",
    "transformers",
    "torch",
    "mistral_common",
    "pygments",
    "cv2",
)

_IMPORTS = """
import sys
import magistral_mlx_tui.cli
light = {name for name in sys.modules}
assert not any(name.startswith("textual") for name in light), "the command itself must be cheap"
import magistral_mlx.engine.child
import magistral_mlx_tui.app
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""

_PAINTED = """
import asyncio, sys
sys.path[:0] = PATHS
from support.terminal_app import driven_app
async def main():
    async with driven_app():
        print(*sorted({name.partition(".")[0] for name in sys.modules}))
asyncio.run(main())
"""

_RUN = """
import sys
sys.path[:0] = PATHS
from support.fake_engine import ScriptedEngine, Stall
from magistral_mlx.engine.protocol import Reasoning
from magistral_mlx_tui.app import MagistralApp
app = MagistralApp(ScriptedEngine(turns=[[Reasoning("Let me think", 3), Stall()]]))
app.run()
sys.exit(app.return_code or 0)
"""
_ROOT = Path(__file__).parents[2]
_PATHS = [str(_ROOT / folder) for folder in ("tests", "src", "tui")]


def python(source: str) -> list[str]:
    return [sys.executable, "-c", source.replace("PATHS", repr(_PATHS))]


@pytest.mark.parametrize("source", [_IMPORTS, _PAINTED])
def test_nothing_heavy_is_imported_before_the_first_paint(source: str) -> None:
    done = subprocess.run(python(source), capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & set(_HEAVY)


def test_without_a_terminal_it_says_what_to_do() -> None:
    done = subprocess.run(
        [*python("from magistral_mlx.commands.main import main; raise SystemExit(main())"), "app"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 2
    assert "needs a terminal" in done.stderr
    assert "magistral ask" in done.stderr


class Terminal:
    """A program on a pseudo-terminal of 120 by 40."""

    def __init__(self, command: list[str]) -> None:
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (40, 120))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment)
        self.output = b""

    def read_until(self, wanted: bytes, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while wanted not in self.output:
            assert time.monotonic() < deadline, self.output[-2000:]
            if select.select([self.master], [], [], 0.2)[0]:
                self.output += os.read(self.master, 65536)

    def send(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


def test_on_a_real_terminal_it_paints_streams_and_gives_the_terminal_back() -> None:
    terminal = Terminal(python(_RUN))
    try:
        terminal.read_until(b"ready")
        terminal.send(b"hello\r")
        terminal.read_until(b"thinking")
        terminal.send(b"\x1b")
        terminal.read_until(b"stopped")
        terminal.send(b"\x11")
        terminal.read_until(b"\x1b[?1049l")
        assert terminal.output.count(b"\x1b[?1049h") == terminal.output.count(b"\x1b[?1049l") == 1
        while terminal.process.poll() is None:  # what it still writes must be read, or it cannot end
            if select.select([terminal.master], [], [], 0.1)[0]:
                terminal.output += os.read(terminal.master, 65536)
        assert terminal.process.returncode == 0
        assert b"Traceback" not in terminal.output
        assert termios.tcgetattr(terminal.slave) == terminal.before
    finally:
        terminal.close()
