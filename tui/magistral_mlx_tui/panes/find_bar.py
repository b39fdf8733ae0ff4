"""One row to search both panes: the query, the number of matches, the current one."""

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Input

from magistral_mlx_tui.widgets.plain import PlainStatic


class FindBar(Horizontal):
    """Tells the query and the steps through its messages; `show_count` shows the matches."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "step(1)", "Next", show=False),
        Binding("up,shift+enter", "step(-1)", "Previous", show=False),
        Binding("escape", "close", "Close", show=False),
    ]

    @dataclass
    class Query(Message):
        """The query changed."""

        text: str

    @dataclass
    class Step(Message):
        """To the next match (1) or the previous one (-1)."""

        by: int

    class Closed(Message):
        """The search ended."""

    def compose(self) -> ComposeResult:
        """The field and the count."""
        yield PlainStatic("Find ", classes="label")
        yield Input(id="find-input", compact=True, placeholder="in reasoning and answer")
        yield PlainStatic(id="find-count")

    def open(self) -> None:
        """Show the bar with the last query selected."""
        self.display = True
        field = self.query_one(Input)
        field.focus()
        field.select_all()

    @property
    def query_text(self) -> str:
        """The query."""
        return self.query_one(Input).value

    def show_count(self, current: int | None, reasoning: int, answer: int) -> None:
        """Show the number of matches and the current one (counted from 0 over both panes)."""
        total = reasoning + answer
        if not self.query_text:
            words = "Enter next · Shift+Enter previous · Esc closes"
        elif not total:
            words = "not found"
        else:
            where = f"{current + 1} of {total:,}" if current is not None else f"{total:,}"
            words = f"{where}   reasoning {reasoning:,} · answer {answer:,}"
        self.query_one("#find-count", PlainStatic).show(Content(words), layout=False)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Query(event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Step(1))

    def action_step(self, by: int) -> None:
        """Go to another match."""
        self.post_message(self.Step(by))

    def action_close(self) -> None:
        """Hide the bar."""
        self.display = False
        self.post_message(self.Closed())
