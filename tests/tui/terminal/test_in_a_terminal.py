"""The whole app in a real terminal with a real engine process, from the first paint to the last."""

import os
import random
import signal
import sys
from pathlib import Path

import psutil
import pytest

from magistral_mlx.miniature.images import BarChart, draw
from support.live_terminal import LiveTerminal

_TESTS = Path(__file__).parents[2]
_PATHS = [str(_TESTS), *(str(_TESTS.parent / folder) for folder in ("src", "tui"))]
_SCRIPTED = f"""
import sys
sys.path[:0] = {_PATHS!r}
from magistral_mlx.engine.child import ChildEngine
from magistral_mlx_tui.app import MagistralApp
command = (sys.executable, {str(_TESTS / "support/fake_runtime.py")!r})
app = MagistralApp(ChildEngine(command=command))
app.run()
sys.exit(app.return_code or 0)
"""
_REAL = f"""
import sys
sys.path[:0] = {_PATHS!r}
from magistral_mlx.commands.main import main
sys.exit(main(["--model", "miniature", "--images", "half"]))
"""
ESCAPE, CTRL_Q, CTRL_R, CTRL_T, F5 = "\x1b", "\x11", "\x12", "\x14", "\x1b[15~"


def python(source: str) -> list[str]:
    return [sys.executable, "-c", source]


def engine_of(terminal: LiveTerminal) -> int:
    """The process that answers."""
    (child,) = psutil.Process(terminal.process.pid).children()
    return child.pid


def test_asking_streaming_resizing_stopping_killing_and_going_on() -> None:
    with LiveTerminal(python(_SCRIPTED)) as terminal:
        terminal.wait_for("ready", "scripted")
        terminal.type("think:**hm** say:fine\r")
        terminal.wait_for("❯ think:**hm**", "hm", "fine", "ready")

        terminal.type("flood:3000 say:done\r")
        terminal.wait_for("2999", "done", "ready")

        for columns, rows in ((60, 24), (100, 30), (160, 50), (120, 40)):
            terminal.resize(columns, rows)
            terminal.wait_for("done", "ready")
            assert terminal.text.count("\n") == rows - 1

        terminal.type("endless\r")
        terminal.wait_for("thinking", "on and on and")
        terminal.resize(80, 24)
        terminal.wait_for("thinking", "on and on and")
        terminal.type(ESCAPE)
        terminal.wait_for("stopped", "Stopped. Everything so far is kept")
        terminal.resize(120, 40)

        terminal.type("endless\r")
        terminal.wait_for("thinking")
        os.kill(engine_of(terminal), signal.SIGKILL)
        terminal.wait_for("failed", "The engine was killed")
        terminal.type(CTRL_R)
        terminal.wait_for("ready")
        terminal.type("say:again\r")
        terminal.wait_for("again", "ready")

        terminal.type(CTRL_Q)
        assert terminal.wait_for_end() == 0
        assert terminal.restored
        assert b"Traceback" not in terminal.output


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_engine_behind(end: signal.Signals) -> None:
    with LiveTerminal(python(_SCRIPTED)) as terminal:
        terminal.wait_for("ready", "scripted")
        terminal.type("endless\r")
        terminal.wait_for("thinking")
        engine = psutil.Process(engine_of(terminal))
        terminal.process.send_signal(end)
        terminal.wait_for_end()
        engine.wait(timeout=60)


def test_the_miniature_sees_an_image_that_was_dropped_on_the_window(tmp_path: Path) -> None:
    chart = BarChart(("A", "B", "C", "D"), (3, 7, 9, 8))
    draw(chart, random.Random(4)).save(tmp_path / "two words.png")
    with LiveTerminal(python(_REAL)) as terminal:
        terminal.wait_for("MINIATURE", "ready")
        terminal.paste(str(tmp_path / "two words.png").replace(" ", r"\ "))
        terminal.wait_for("two words.png")
        terminal.type("Which bar is the tallest?\r")
        terminal.wait_for("❯ Which bar is the tallest?", "▣ two words.png", "thought for", "prompt", "ready")
        terminal.type(CTRL_T)
        terminal.wait_for("▸ thought")
        terminal.type(CTRL_Q)
        assert terminal.wait_for_end() == 0
        assert terminal.restored
