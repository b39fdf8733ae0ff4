"""Asks for the path of a picture."""

from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import Input

from magistral_mlx_tui.widgets.plain import PlainStatic

_MOST_ENTRIES = 2000
"""Names that are looked at in a folder to complete a path."""


class PathSuggester(Suggester):
    """Completes the last name of a path from the folder on the disk."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """The first entry, by name, that begins as `value` ends."""
        head, slash, start = value.rpartition("/")
        if not start:
            return None
        folder = Path(head + slash).expanduser() if slash else Path()
        try:
            names = [
                entry.name for entry, _number in zip(folder.iterdir(), range(_MOST_ENTRIES), strict=False)
            ]
        except (OSError, ValueError):  # no such folder: nothing to suggest
            return None
        fitting = sorted(name for name in names if name.startswith(start) and name.isprintable())
        return head + slash + fitting[0] if fitting else None


class PicturePathScreen(ModalScreen[str | None]):
    """A path, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", show=False),
        Binding("ctrl+q", "app.quit", "Quit", show=False, priority=True),
    ]

    def compose(self) -> ComposeResult:
        """One input line and a hint."""
        with Vertical(id="box") as box:
            box.border_title = Content("Attach a picture")
            yield Input(
                placeholder="~/Pictures/chart.png", suggester=PathSuggester(), compact=True, id="path"
            )
            yield PlainStatic("enter attaches · → completes · esc leaves", classes="hint")

    @on(Input.Submitted)
    def _take(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)

    def action_cancel(self) -> None:
        """Leave without a picture."""
        self.dismiss(None)
