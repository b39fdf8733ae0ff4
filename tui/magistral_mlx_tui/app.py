"""The app: puts engine, controller, settings and screens together."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, ClassVar

from textual import events
from textual.app import App, SystemCommand
from textual.screen import Screen
from textual.types import CSSPathType

from magistral_mlx.engine.protocol import Engine
from magistral_mlx.sanitize import sanitize_line
from magistral_mlx_tui.attachments.thumbnail import ImageMode
from magistral_mlx_tui.command_table import COMMANDS
from magistral_mlx_tui.conversation.controller import Controller
from magistral_mlx_tui.models.conversion_job import ConversionJob
from magistral_mlx_tui.screens.chat import NARROW, WIDE, ChatScreen
from magistral_mlx_tui.settings import Settings, question_options, save_settings
from magistral_mlx_tui.terminal.garbage import EVERY_SECONDS, Collector
from magistral_mlx_tui.terminal.signals import leave_on_signals
from magistral_mlx_tui.themes import DARK, DEFAULTS, LIGHT, THEMES

# Classes for the stylesheets, and the columns and rows from which a screen has them.
_BY_WIDTH = [(0, "-narrow"), (NARROW, "-medium"), (WIDE, "-wide")]
_BY_HEIGHT = [(0, "-short"), (20, "-tall"), (30, "-roomy")]


class MagistralApp(App[None]):
    """Reasoning and answer side by side.

    Args:
        engine: what answers; it is started after the first paint and closed on leaving.
        settings: its model and theme apply at the start.
        image_mode: how previews of images are drawn: KITTY, SIXEL, HALF or OFF.
        complaints: what was wrong in the settings; shown once.
        resume: name of a kept conversation to go on with.
    """

    TITLE = "magistral"
    CSS_PATH: ClassVar[CSSPathType | None] = ["screens/chat.tcss", "screens/dialogs.tcss"]
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = _BY_WIDTH
    VERTICAL_BREAKPOINTS = _BY_HEIGHT

    def __init__(
        self,
        engine: Engine,
        *,
        settings: Settings | None = None,
        image_mode: ImageMode = ImageMode.HALF,
        complaints: Sequence[str] = (),
        resume: str | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings or Settings()
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = THEMES[self.settings.theme]
        self.set_keymap(dict(self.settings.keys))
        if not self.settings.motion:
            self.animation_level = "none"
        self._image_mode = image_mode
        self._complaints = complaints
        self._resume = resume
        self._signals = ExitStack()
        self._collector = Collector()
        self.controller = Controller(
            engine,
            model=self.settings.model,
            system=self.settings.system.strip() or None,
            keep_caches=self.settings.keep_caches,
        )
        self.job = ConversionJob(self._tell_of_the_job)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Variables of the stylesheets beyond Textual's own."""
        return DEFAULTS

    def get_default_screen(self) -> Screen[None]:
        """The chat."""
        self.chat = ChatScreen(self.controller, image_mode=self._image_mode)
        self.chat.verbs.options = question_options(self.settings)
        self.chat.show_reasoning(self.settings.show_reasoning)
        return self.chat

    def on_ready(self) -> None:
        """Start the engine after the first frame."""
        self.chat.prompt.cursor_blink = self.settings.motion
        if self._complaints:
            self.chat.say(self._complaints[0])
        self.chat.bring_back(self._resume)
        self._signals.enter_context(leave_on_signals(self._leave))
        self._collector.start()
        self.set_interval(EVERY_SECONDS, self._collect)
        self.call_after_refresh(self.controller.start)

    async def on_event(self, event: events.Event) -> None:
        """Note keys and clicks for the garbage collector."""
        if isinstance(event, events.InputEvent):
            self._collector.touch()
        await super().on_event(event)

    def _collect(self) -> None:
        if self.controller.turn is not None and self.controller.turn.running:
            self._collector.touch()
        self._collector.tick()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Offer the commands of the table in the palette."""
        if isinstance(screen, ChatScreen):
            for command in COMMANDS:
                if command.slash:
                    yield SystemCommand(
                        command.title, command.help, partial(screen.action_obey, command.name)
                    )

    def action_models(self) -> None:
        """Pick a model, or convert one."""
        from magistral_mlx_tui.models.choices import machine_of
        from magistral_mlx_tui.screens.models import ModelsScreen

        def switch(model: str | None) -> None:
            if model is not None and model != current:
                self.controller.switch_model(model)

        current = self.controller.model.name if self.controller.model else None
        machine = machine_of(self.controller.progress.telemetry)
        self.push_screen(ModelsScreen(current, machine, self.job), switch)

    def action_settings(self) -> None:
        """Show all settings."""
        from magistral_mlx_tui.screens.settings import SettingsScreen

        self.push_screen(SettingsScreen(self.settings, self._settle))

    def _settle(self, settings: Settings) -> str:
        """Save and apply new settings; returns a line if they cannot be saved."""
        self.settings = settings
        self.theme = THEMES[settings.theme]
        self.animation_level = "full" if settings.motion else "none"
        self.chat.verbs.options = question_options(settings)
        self.chat.prompt.cursor_blink = settings.motion
        self.chat.show_reasoning(settings.show_reasoning)
        try:
            save_settings(settings)
        except OSError as error:
            return f"The settings cannot be saved ({error.strerror or error}); they apply until you quit."
        return ""

    def _tell_of_the_job(self) -> None:
        if self.is_running:
            self.chat.say(sanitize_line(self.job.words))

    async def action_quit(self) -> None:
        """Close the engine, then quit."""
        self.job.stop()
        await self.controller.close()
        self.exit()

    def _leave(self, code: int) -> None:
        self.controller.recorder.save_now()
        self.exit(return_code=code)

    async def on_unmount(self) -> None:
        """Close the engine on every way out."""
        self._signals.close()
        self._collector.stop()
        self.job.stop()
        await self.controller.close()
