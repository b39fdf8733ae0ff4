"""Asks for one line of text: a hint, a title, a file's name."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input

from magistral_mlx_tui.widgets.plain import PlainStatic


class OneLineScreen(ModalScreen[str | None]):
    """Returns the line, or None for Escape.

    Args:
        title: names the line.
        words: one sentence about it.
        value: the first text.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", show=False),
        Binding("ctrl+q", "app.quit", "Quit", show=False, priority=True),
    ]

    def __init__(self, title: str, words: str, *, value: str = "") -> None:
        super().__init__()
        self._title, self._words, self._value = title, words, value

    def compose(self) -> ComposeResult:
        """A box with a line in it."""
        with Vertical(id="line-box") as box:
            box.border_title = Content(self._title)
            yield Input(self._value)
            yield PlainStatic(self._words, classes="hint")

    @on(Input.Submitted)
    def _give_back(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)
