"""Every screen of the app as a scene: what to do until it is there, and its image.

    python -m support.scenes                 write what the tests compare with, and the images of the docs
    python -m support.scenes --png FOLDER    as bitmaps too, to be looked at (needs rsvg-convert)

Run it in the folder `tests`. Images depend on the versions of Textual and Rich in constraints.txt.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from magistral_mlx_tui.settings import Settings
from magistral_mlx_tui.themes import THEMES
from support import scene_plays as plays
from support import scene_scripts as scripts
from support.fake_engine import Die, ScriptedEngine, Stall
from support.photograph import photograph, write_bitmap
from support.terminal_app import Driven, driven_app

SIZES = ((160, 50), (100, 30), (60, 24))
FOLDER = Path(__file__).parents[1] / "tui/snapshots"
DOCS = Path(__file__).parents[2] / "docs/images"
IN_DOCS = {
    "app.svg": "answering-160x50-dark.svg",
    "app-light.svg": "answering-100x30-light.svg",
    "app-narrow.svg": "folded-60x24-dark.svg",
    "app-find.svg": "searching-100x30-dark.svg",
    "app-failure.svg": "dead-100x30-dark.svg",
    "app-images.svg": "images-100x30-dark.svg",
    "app-conversations.svg": "conversations-100x30-dark.svg",
}
"""Images of README.md and docs/app.md."""


@dataclass(frozen=True)
class Act:
    """One screen: what people do until it is there, after the act before."""

    name: str
    play: Callable[[Driven], Awaitable[None]]
    in_each_theme: bool = False
    """Whether it is played anew for each: Textual's palette keeps the colours that it was opened with."""


@dataclass(frozen=True)
class Scene:
    """Acts of one run of the app, on an engine that plays a script."""

    make_engine: Callable[[], ScriptedEngine]
    acts: tuple[Act, ...]
    ready: bool = True

    @property
    def name(self) -> str:
        """That of its first act."""
        return self.acts[0].name


SCENES = (
    Scene(
        lambda: scripts.answering(Stall()),
        (
            Act("answering", plays.answering),
            Act("source", plays.source),
            Act("zoomed", plays.zoomed),
            Act("searching", plays.searching),
            Act("folded", plays.folded),
        ),
    ),
    Scene(scripts.resting, (Act("welcome", plays.welcome), Act("help", plays.helping))),
    Scene(scripts.toy, (Act("miniature", plays.welcome),)),
    Scene(scripts.loading, (Act("loading", plays.loading),), ready=False),
    Scene(lambda: scripts.answering(Die(log="~/logs/engine.log")), (Act("dead", plays.failed),)),
    Scene(scripts.refusing, (Act("refused", plays.failed),)),
    Scene(
        scripts.thinking,
        (Act("waiting", plays.waiting), Act("paused", plays.paused), Act("stopped", plays.stopped)),
    ),
    Scene(
        scripts.reading,
        (
            Act("attached", plays.attached),
            Act("images", plays.images),
            Act("browsing", plays.browsing),
            Act("reading", plays.reading),
        ),
    ),
    Scene(
        scripts.resting,
        (
            Act("conversations", plays.conversations),
            Act("found", plays.found),
            Act("title", plays.title),
            Act("export", plays.exporting),
            Act("settings", plays.settings),
            Act("palette", plays.palette, in_each_theme=True),
            Act("models", plays.choosing),
        ),
    ),
)


@dataclass(frozen=True)
class Take:
    """A scene at a size."""

    scene: Scene
    size: tuple[int, int]

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.scene.name}-{self.size[0]}x{self.size[1]}"

    def file_name(self, act: Act, theme: str) -> str:
        """Of the image of an act in a theme."""
        return f"{act.name}-{self.size[0]}x{self.size[1]}-{theme}.svg"

    def file_names(self) -> list[str]:
        """Of all its images."""
        return [self.file_name(act, theme) for act in self.scene.acts for theme in THEMES]


def takes() -> list[Take]:
    """All that there are images of."""
    return [Take(scene, size) for scene in SCENES for size in SIZES]


async def images(take: Take) -> dict[str, str]:
    """The take as SVGs by their file names, the same every time; to be made in `own_place`."""
    made: dict[str, str] = {}
    async with driven_app(
        engine=take.scene.make_engine(),
        size=take.size,
        ready=take.scene.ready,
        settings=Settings(motion=False),  # a cursor that has blinked once may be drawn without it for ever
        clock=lambda: 12.5,
    ) as driven:
        themes = list(THEMES)
        for act in take.scene.acts:
            for theme in themes:
                driven.app.theme = THEMES[theme]
                if act.in_each_theme or theme == themes[0]:
                    await act.play(driven)
                made[take.file_name(act, theme)] = await photograph(driven)
            themes.reverse()  # a change of theme is dear
    return made


@contextmanager
def own_place(folder: Path) -> Generator[None]:
    """A home, a data folder and a time zone that are the same in every image."""
    home = folder / "ada"
    changed = {"HOME": home, "MAGISTRAL_MLX_HOME": home / ".local/share/magistral-mlx", "TZ": "UTC"}
    with patch.dict(os.environ, {name: str(value) for name, value in changed.items()}):
        time.tzset()
        yield
    time.tzset()


def main() -> None:
    """Write all images."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--png", type=Path, help="write bitmaps into this folder too")
    parser.add_argument("--only", default="", help="images whose names contain this")
    arguments = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    for take in takes():
        if not any(arguments.only in name for name in take.file_names()):
            continue
        with tempfile.TemporaryDirectory() as folder, own_place(Path(folder)):
            made = asyncio.run(images(take))
        for name, svg in made.items():
            (FOLDER / name).write_text(svg, encoding="utf-8")
            for copy in (copy for copy, original in IN_DOCS.items() if original == name):
                (DOCS / copy).write_text(svg, encoding="utf-8")
            if arguments.png and arguments.only in name:
                write_bitmap(svg, arguments.png / f"{name}.png")


if __name__ == "__main__":
    main()
