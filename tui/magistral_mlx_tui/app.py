"""The app: puts engine, controller and screens together."""

from collections.abc import Iterable
from typing import Any, ClassVar

from textual.app import App, SystemCommand
from textual.screen import Screen
from textual.types import CSSPathType

from magistral_mlx.engine.protocol import Engine
from magistral_mlx_tui.commands import COMMANDS
from magistral_mlx_tui.controller import Controller
from magistral_mlx_tui.screens.chat import NARROW, WIDE, ChatScreen
from magistral_mlx_tui.themes import DARK, LIGHT, THEMES
from magistral_mlx_tui.thumbnail import PictureMode

# Classes that the stylesheets go by, and from how many columns and rows on a screen has them.
_BY_WIDTH = [(0, "-narrow"), (NARROW, "-medium"), (WIDE, "-wide")]
_BY_HEIGHT = [(0, "-short"), (20, "-tall"), (30, "-roomy")]


class MagistralApp(App[None]):
    """Reasoning and answer side by side.

    Args:
        engine: what answers; it is started after the first paint and closed on leaving.
        model: name or folder of the model; None: the engine chooses.
        theme: a key of `themes.THEMES`.
        picture_mode: how previews of pictures are drawn.
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
        model: str | None = None,
        theme: str = "dark",
        picture_mode: PictureMode = PictureMode.HALF,
    ) -> None:
        super().__init__()
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = THEMES[theme]
        self._picture_mode = picture_mode
        self.controller = Controller(engine, model=model)

    def get_default_screen(self) -> Screen[None]:
        """The chat."""
        return ChatScreen(self.controller, picture_mode=self._picture_mode)

    def on_ready(self) -> None:
        """The first frame is on the screen: now the engine may start."""
        self.call_after_refresh(self.controller.start)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette holds the same commands as keys, slash commands and help."""
        if isinstance(screen, ChatScreen):
            for command in COMMANDS:
                if command.slash:
                    yield SystemCommand(
                        command.title, command.help, getattr(screen, f"action_{command.name}")
                    )

    async def action_quit(self) -> None:
        """End the engine, then leave."""
        await self.controller.close()
        self.exit()

    async def on_unmount(self) -> None:
        """Whatever the reason for leaving, no engine stays behind."""
        await self.controller.close()
