"""One row to search in both panes: what to find, how often it is there, and where one is."""

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
    """Tells what is typed into it and which way to go; `show_count` is told what to say."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "step(1)", "Next", show=False),
        Binding("up,shift+enter", "step(-1)", "Previous", show=False),
        Binding("escape", "close", "Close", show=False),
    ]

    @dataclass
    class Query(Message):
        """Something else is to be found."""

        text: str

    @dataclass
    class Step(Message):
        """To the next hit (1) or the one before (-1)."""

        by: int

    class Closed(Message):
        """Nothing is to be found any more."""

    def compose(self) -> ComposeResult:
        """The field and the count."""
        yield PlainStatic("Find ", classes="label")
        yield Input(id="find-input", compact=True, placeholder="in reasoning and answer")
        yield PlainStatic(id="find-count")

    def open(self) -> None:
        """Appear, with what was searched for last selected."""
        self.display = True
        field = self.query_one(Input)
        field.focus()
        field.select_all()

    @property
    def query_text(self) -> str:
        """What is typed."""
        return self.query_one(Input).value

    def show_count(self, current: int | None, reasoning: int, answer: int) -> None:
        """Say how many hits there are, and which one is current (counted from 0 over both panes)."""
        total = reasoning + answer
        if not self.query_text:
            words = "enter next · shift+enter previous · esc closes"
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
        """Go on to another hit."""
        self.post_message(self.Step(by))

    def action_close(self) -> None:
        """Disappear."""
        self.display = False
        self.post_message(self.Closed())
