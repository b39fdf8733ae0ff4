"""Makes docs/images/app.svg, the README's picture, from the app itself.

    python -m tui.make_picture                             on a scripted engine
    python -m tui.make_picture --model DIR           on a converted folder, for real
    python -m tui.make_picture --size 100x30 --theme light --to FILE

Run it in the folder `tests`; `--model miniature` is the bundled model. The picture is taken while the second
answer is being written. A scripted picture says so where the model's name stands.
"""

import argparse
import asyncio
import math
import random
import tempfile
from pathlib import Path

from textual.pilot import Pilot

from magistral_mlx.engine.protocol import (
    Answer,
    Engine,
    EngineModel,
    Prefill,
    Progress,
    Ready,
    Reasoning,
)
from magistral_mlx.miniature.pictures import BarChart, draw
from magistral_mlx.telemetry import Telemetry
from magistral_mlx_tui.app import MagistralApp
from magistral_mlx_tui.controller import Phase
from magistral_mlx_tui.screens.chat import ChatScreen
from magistral_mlx_tui.settings import Settings
from magistral_mlx_tui.themes import THEMES
from support.fake_engine import ScriptedEngine, Stall, Step

_GB = 2**30
_MAC = Telemetry(
    active_bytes=14 * _GB,
    cache_bytes=_GB,
    peak_bytes=16 * _GB,
    recommended_bytes=24 * _GB,
    total_bytes=32 * _GB,
)
_MODEL = EngineModel("scripted, no model", "", False, 40960, None, True)
QUESTIONS = ("What is 347 + 285?", "Which bar is the tallest?")
_CHART = BarChart(("A", "B", "C", "D"), (3, 7, 9, 8))
_FIRST_THOUGHT = (
    "I add 347 and 285 digit by digit.\n\n"
    "- Ones: 7 + 5 = **12**, write 2, carry 1.\n"
    "- Tens: 4 + 8 + 1 = **13**, write 3, carry 1.\n"
    "- Hundreds: 3 + 2 + 1 = **6**.\n\nCheck: \\(632 - 285 = 347\\). That is right."
)
_SECOND_THOUGHT = (
    "The picture is a bar chart with four bars, lettered A to D. I compare their tops with the lines.\n\n"
    "- A ends at 3, the lowest.\n- B stands at 7.\n- C reaches 9, one line under the top.\n- D ends at 8.\n\n"
    "So the tallest is C, with 9. D comes second, so I should mention by how much C is taller: 9 - 8 = 1."
)
_SECOND_ANSWER = (
    "The tallest bar is **C**, with a value of **9**.\n\n"
    "| bar | value | |\n|:--|--:|:--|\n| A | 3 | shortest |\n| B | 7 | |\n"
    "| C | 9 | **tallest** |\n| D | 8 | |\n\n"
    "It stands `9 - 8 = 1` above the second, D."
)


def _pieces(text: str, kind: type[Reasoning] | type[Answer]) -> list[Step]:
    return [kind(text[start : start + 5], 1) for start in range(0, len(text), 5)]


def scripted() -> ScriptedEngine:
    """An engine that answers the two questions as the real model might."""
    speeds = [29 + 3 * math.sin(step / 5) + step / 40 for step in range(90)]
    course: list[Step] = [Progress(_MAC, speed, 30.1, 0.84, 1000 + step) for step, speed in enumerate(speeds)]
    final = Progress(_MAC, 31.2, 30.4, 0.84, 2114, 40960)
    first: list[Step] = [*_pieces(_FIRST_THOUGHT, Reasoning), *_pieces("347 + 285 = **632**", Answer)]
    second: list[Step] = [
        *(Prefill(512, 980), Prefill(980, 980), *course),
        *(*_pieces(_SECOND_THOUGHT, Reasoning), *_pieces(_SECOND_ANSWER, Answer), final, Stall()),
    ]
    return ScriptedEngine(turns=[first, second], loading=(Ready(_MODEL),))


async def picture(engine: Engine, *, model: str | None, size: tuple[int, int], theme: str) -> str:
    """The app as an SVG while it answers the second question."""
    app = MagistralApp(engine, settings=Settings(model=model, theme=theme))
    with tempfile.TemporaryDirectory() as folder:
        chart = Path(folder) / "chart.png"
        draw(_CHART, random.Random(4)).save(chart)
        async with app.run_test(size=size) as pilot:
            screen = app.screen
            assert isinstance(screen, ChatScreen)
            await _until(pilot, app, Phase.READY)
            await _ask(pilot, screen, QUESTIONS[0])
            await _until(pilot, app, Phase.READY)
            screen.attach(str(chart))
            await pilot.pause(0.5)
            await _ask(pilot, screen, QUESTIONS[1])
            await _until(pilot, app, Phase.ANSWERING, Phase.READY)
            await pilot.pause(1)
            return app.export_screenshot(title="magistral")


async def _ask(pilot: Pilot[None], screen: ChatScreen, question: str) -> None:
    screen.prompt.text = question
    screen.prompt.focus()
    await pilot.press("enter")
    await pilot.pause(0.3)


async def _until(pilot: Pilot[None], app: MagistralApp, *phases: Phase) -> None:
    async with asyncio.timeout(300):
        while app.controller.phase not in phases:
            if app.controller.phase is Phase.FAILED:
                raise SystemExit(str(app.controller.failure))
            await pilot.pause(0.05)


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", help="a converted folder, or miniature (default: a scripted engine)")
    parser.add_argument("--size", default="140x40", help="columns and rows (default: 140x40)")
    parser.add_argument("--theme", choices=tuple(THEMES), default="dark")
    parser.add_argument("--to", type=Path, default=Path(__file__).parents[2] / "docs/images/app.svg")
    arguments = parser.parse_args()
    columns, rows = map(int, arguments.size.split("x"))
    engine: Engine = scripted()
    if arguments.model:
        from magistral_mlx.engine.child import ChildEngine

        engine = ChildEngine()
    made = picture(engine, model=arguments.model, size=(columns, rows), theme=arguments.theme)
    arguments.to.parent.mkdir(parents=True, exist_ok=True)
    arguments.to.write_text(asyncio.run(made), encoding="utf-8")


if __name__ == "__main__":
    main()
