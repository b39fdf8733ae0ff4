"""Every screen of the app as a scene: what to do until it is there, and its picture.

    python -m support.scenes                 write what the tests compare with, and the pictures of the docs
    python -m support.scenes --png FOLDER    as bitmaps too, to be looked at (needs rsvg-convert)

Run it in the folder `tests`. Pictures depend on the versions of Textual and Rich in constraints.txt.
"""

import argparse
import asyncio
import html
import re
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len
from textual.widgets import Input

from magistral_mlx.engine.protocol import Answer, EngineModel, Loading, Prefill, Progress, Ready, Reasoning
from magistral_mlx.generation.events import ContextSegments
from magistral_mlx.telemetry import Telemetry
from magistral_mlx_tui.panes.find_bar import FindBar
from magistral_mlx_tui.screens.help import HelpScreen
from magistral_mlx_tui.themes import THEMES as THEME_NAMES
from support.fake_engine import Die, Pause, ScriptedEngine, Stall, Step
from support.terminal_app import Driven, GatedEngine, driven_app

SIZES = ((160, 50), (100, 30), (60, 24))
THEMES = ("dark", "light", "ansi")
FOLDER = Path(__file__).parents[1] / "tui/pictures"
DOCS = Path(__file__).parents[2] / "docs/images"
IN_DOCS = {
    "app.svg": "answering-160x50-dark.svg",
    "app-light.svg": "answering-100x30-light.svg",
    "app-narrow.svg": "folded-60x24-dark.svg",
    "app-find.svg": "searching-100x30-dark.svg",
    "app-failure.svg": "dead-100x30-dark.svg",
}
"""Pictures of README.md and docs/app.md."""
_GB = 2**30
_TEXT = re.compile(
    r'(?P<head><text class="[^"]*" )x="(?P<x>[\d.]+)" y="(?P<y>[\d.]+)" textLength="(?P<length>[\d.]+)"'
    r"(?P<rest>[^>]*)>(?P<shown>[^<]*)</text>"
)
_MAC = Telemetry(
    active_bytes=14 * _GB,
    cache_bytes=_GB,
    peak_bytes=16 * _GB,
    recommended_bytes=24 * _GB,
    total_bytes=32 * _GB,
    footprint_bytes=15 * _GB,
)
_MODEL = EngineModel("scripted, no model", "/m", False, 40960, None, True)
_SEGMENTS = ContextSegments(system=420, pictures=980, history=310, reasoning=1290, answer=214)
_FINAL = Progress(_MAC, 31.2, 30.4, 0.84, 3214, 40960, 2 * _GB, _SEGMENTS)
_THOUGHT = r"""The integral of a Gaussian. I square it and go over to polar coordinates.

\[
I^2 = \int_{-\infty}^{\infty}\int_{-\infty}^{\infty} e^{-(x^2+y^2)}\,dx\,dy
= 2\pi \int_0^\infty r e^{-r^2}\,dr = \pi
\]

So \(I = \sqrt{\pi} \approx 1.772\). Let me check that against a sum:

- step \(h = \frac{1}{10}\), from \(-5\) to \(5\)
  - the ends add less than \(10^{-10}\)
- the sum must come near **1.7725**

1. With h = 0.5 the sum is 1.7724.
2. With h = 0.1 it is 1.7725. Good.
"""
_ANSWER = r"""## The Gaussian integral

\[ \int_{-\infty}^{\infty} e^{-x^2}\,dx = \sqrt{\pi} \]

| step | sum | error |
|---:|---:|---:|
| 0.5 | 1.7724 | 0.0001 |
| 0.1 | 1.7725 | < 0.0001 |

```python
from math import exp, pi, sqrt

def gauss(h: float) -> float:  # a plain sum will do
    return h * sum(exp(-(k * h) ** 2) for k in range(-50, 51))

print(gauss(0.1), sqrt(pi))
```

> [!] The sum converges this fast because the function is smooth.

- [x] by calculation
- [ ] by *contour integration*, see [the notes](https://example.org/gauss)

The result is \boxed{\sqrt{\pi}}."""


def _pieces(text: str, kind: type[Reasoning] | type[Answer]) -> list[Step]:
    return [kind(text[start : start + 40], 10) for start in range(0, len(text), 40)]


def _engine(*, ending: list[Step]) -> ScriptedEngine:
    course: list[Step] = [Progress(_MAC, 27 + step % 7, 30.1, 0.84, 1000 + step) for step in range(40)]
    turn: list[Step] = [Prefill(512, 980), Prefill(980, 980), *course, *_pieces(_THOUGHT, Reasoning)]
    return ScriptedEngine(
        turns=[[*turn, *_pieces(_ANSWER, Answer), _FINAL, *ending]],
        loading=(Loading("Loading the weights", 3, 4), Ready(_MODEL)),
    )


async def _asked(driven: Driven, phase: str) -> None:
    await driven.type("What is the integral of exp(-x²) over the whole line?")
    await driven.until_phase(phase)


async def _answering(driven: Driven) -> None:
    await _asked(driven, "answering")
    await driven.until(lambda: driven.app.controller.progress == _FINAL)
    await driven.until(lambda: "The result is" in driven.answer.plain_text)


async def _welcome(driven: Driven) -> None:
    await driven.until(lambda: "ready" in driven.text_of("#welcome-state"))


async def _loading(driven: Driven) -> None:
    await driven.until(lambda: "Loading the weights" in driven.text_of("#welcome-state"))


async def _folded(driven: Driven) -> None:
    await _answering(driven)
    await driven.pilot.press("ctrl+t")
    await driven.until(lambda: driven.reasoning.region.height == 0 or driven.screen.size.width < 80)


async def _searching(driven: Driven) -> None:
    await _answering(driven)
    await driven.type("/find sum")
    await driven.until(lambda: driven.screen.query_one(FindBar).region.height == 1)
    await driven.until(lambda: "reasoning" in driven.text_of("#find-count"))
    driven.screen.prompt.focus()  # the cursor in the find bar blinks
    await driven.until(lambda: driven.screen.prompt.has_focus)


async def _source(driven: Driven) -> None:
    await _answering(driven)
    await driven.pilot.press("f5")
    await driven.until(lambda: driven.answer.source_shown)


async def _zoomed(driven: Driven) -> None:
    await _answering(driven)
    await driven.pilot.press("f4")
    await driven.until(lambda: driven.answer.region.width > driven.screen.size.width - 3)


async def _dead(driven: Driven) -> None:
    await _asked(driven, "failed")


async def _help(driven: Driven) -> None:
    await driven.pilot.press("f1")
    await driven.until(lambda: isinstance(driven.app.screen, HelpScreen))


@dataclass(frozen=True)
class Scene:
    """What is played, what people do, and what is then on the screen."""

    name: str
    make_engine: Callable[[], ScriptedEngine]
    play: Callable[[Driven], Awaitable[None]]
    themes: tuple[str, ...] = ("dark",)
    ready: bool = True


_HALF_LOADED = (Loading("Loading the weights", 3, 4), Pause(0))
SCENES = (
    Scene("answering", lambda: _engine(ending=[Stall()]), _answering, THEMES),
    Scene("welcome", lambda: _engine(ending=[]), _welcome, THEMES),
    Scene(
        "loading",
        lambda: GatedEngine(loading=(Loading("Loading the weights", 3, 4), Pause(0))),
        _loading,
        ready=False,
    ),
    Scene("folded", lambda: _engine(ending=[Stall()]), _folded),
    Scene("searching", lambda: _engine(ending=[Stall()]), _searching, THEMES),
    Scene("source", lambda: _engine(ending=[Stall()]), _source),
    Scene("zoomed", lambda: _engine(ending=[Stall()]), _zoomed),
    Scene("dead", lambda: _engine(ending=[Die(log="~/logs/engine.log")]), _dead, THEMES),
    Scene("help", lambda: _engine(ending=[]), _help, THEMES),
)


@dataclass(frozen=True)
class Take:
    """A scene at a size."""

    scene: Scene
    size: tuple[int, int]

    @property
    def themes(self) -> tuple[str, ...]:
        """All themes at the middle size, and at every size of the first scene."""
        return self.scene.themes if self.size == SIZES[1] or self.scene is SCENES[0] else ("dark",)

    def file_name(self, theme: str) -> str:
        """Of its picture in a theme."""
        return f"{self.scene.name}-{self.size[0]}x{self.size[1]}-{theme}.svg"


def takes() -> list[Take]:
    """All that there are pictures of."""
    return [Take(scene, size) for scene in SCENES for size in SIZES]


async def pictures(take: Take) -> dict[str, str]:
    """The take as SVGs by their file names, the same every time."""
    made: dict[str, str] = {}
    async with driven_app(
        engine=take.scene.make_engine(), size=take.size, ready=take.scene.ready, clock=lambda: 12.5
    ) as driven:
        driven.screen.prompt.cursor_blink = False
        driven.screen.query_one("#find-input", Input).cursor_blink = False
        await take.scene.play(driven)
        for theme in take.themes:
            driven.app.theme = THEME_NAMES[theme]
            made[take.file_name(theme)] = await _settled(driven)
    return made


async def _settled(driven: Driven) -> str:
    """The picture, once nothing changes any more."""
    before = ""
    async with asyncio.timeout(120):
        while True:
            await driven.pilot.pause(0.2)
            driven.screen.draw_figures()
            await driven.pilot.pause()
            now = _same_every_time(driven.app.export_screenshot(title="magistral"))
            if now == before:
                return now
            before = now


def _same_every_time(svg: str) -> str:
    return re.sub(r"terminal-\d+-", "terminal-", svg).replace("\u00a0", "&#160;").strip() + "\n"


def main() -> None:
    """Write all pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--png", type=Path, help="write bitmaps into this folder too")
    parser.add_argument("--only", default="", help="takes whose name contains this")
    arguments = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    for take in takes():
        if arguments.only not in take.file_name("dark"):
            continue
        for name, svg in asyncio.run(pictures(take)).items():
            (FOLDER / name).write_text(svg, encoding="utf-8")
            for copy in (copy for copy, original in IN_DOCS.items() if original == name):
                (DOCS / copy).write_text(svg, encoding="utf-8")
            if arguments.png:
                _write_bitmap(svg, arguments.png / f"{name}.png")


def _write_bitmap(svg: str, file: Path) -> None:
    """Convert, without blanks at the ends of texts: the converter would drop them and shift the rest."""
    file.parent.mkdir(parents=True, exist_ok=True)
    converter = shutil.which("rsvg-convert") or "rsvg-convert"
    subprocess.run([converter, "-o", str(file)], input=_TEXT.sub(_without_blanks, svg).encode(), check=True)


def _without_blanks(text: re.Match[str]) -> str:
    shown = html.unescape(text["shown"])
    cell = float(text["length"]) / max(1, cell_len(shown))
    inked = shown.strip("\u00a0 ")
    x = float(text["x"]) + cell * (len(shown) - len(shown.lstrip("\u00a0 ")))
    length = cell * cell_len(inked)
    place = f'x="{x:.1f}" y="{text["y"]}" textLength="{length:.1f}"'
    return f"{text['head']}{place}{text['rest']}>{html.escape(inked)}</text>"


if __name__ == "__main__":
    main()
