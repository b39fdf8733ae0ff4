"""What the app's tests share: the app on a scripted engine, and waiting for a condition."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from textual.pilot import Pilot

from magistral_mlx_tui.app import MagistralApp
from magistral_mlx_tui.panes.stream_pane import StreamPane
from magistral_mlx_tui.screens.chat import ChatScreen
from magistral_mlx_tui.settings import Settings
from support.fake_engine import LOADING, ScriptedEngine, Step


class GatedEngine(ScriptedEngine):
    """A scripted engine whose pauses last until the test opens `gate`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.gate = asyncio.Event()

    async def _pause(self, seconds: float | None) -> None:
        await self.gate.wait()


class Driven:
    """A running app with short names for its parts."""

    def __init__(self, app: MagistralApp, engine: ScriptedEngine, pilot: Pilot[None]) -> None:
        self.app, self.engine, self.pilot = app, engine, pilot

    @property
    def screen(self) -> ChatScreen:
        screen = self.app.screen_stack[0]
        assert isinstance(screen, ChatScreen)
        return screen

    @property
    def reasoning(self) -> StreamPane:
        return self.screen.query_one("#reasoning", StreamPane)

    @property
    def answer(self) -> StreamPane:
        return self.screen.query_one("#answer", StreamPane)

    def text_of(self, selector: str) -> str:
        """What a widget shows."""
        return str(self.screen.query_one(selector).render())

    async def type(self, text: str) -> None:
        """Type `text` into the prompt and press enter."""
        self.screen.prompt.text = text
        self.screen.prompt.focus()
        await self.pilot.press("enter")

    async def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until `condition` holds."""
        async with asyncio.timeout(seconds):
            while not condition():
                await self.pilot.pause(0.02)

    async def until_phase(self, phase: str) -> None:
        """Wait until the header shows the word `phase`, and the rest of the screen what belongs to it."""
        await self.until(lambda: self.text_of("#header").rstrip().endswith(phase) and self._up_to_date)

    @property
    def _up_to_date(self) -> bool:
        """Whether all that has happened is drawn; while text streams there is always more."""
        turn = self.app.controller.turn
        streaming = turn is not None and turn.running
        return streaming or not self.screen._clock.waiting


@asynccontextmanager
async def driven_app(
    *turns: Sequence[Step],
    engine: ScriptedEngine | None = None,
    size: tuple[int, int] = (140, 40),
    theme: str = "dark",
    settings: Settings | None = None,
    ready: bool = True,
    clock: Callable[[], float] | None = None,
) -> AsyncGenerator[Driven]:
    """The app on an engine that plays `turns`; waits until it is ready unless told otherwise.

    `clock` takes the place of the one that thoughts are timed with.
    """
    engine = engine or ScriptedEngine(turns=turns, loading=LOADING)
    app = MagistralApp(engine, settings=replace(settings or Settings(), theme=theme))
    if clock is not None:
        app.controller._clock = clock
    async with app.run_test(size=size) as pilot:
        driven = Driven(app, engine, pilot)
        if ready:
            await driven.until_phase("ready")
        yield driven
