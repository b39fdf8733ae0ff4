"""Load a model and show the events of one answer as they come.

The reasoning goes to stderr, the answer to stdout.
"""

import signal
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from magistral_mlx.commands.console import Console
from magistral_mlx.events import AnswerText, Event, Finished, PrefillProgress, ReasoningText, Reply

if TYPE_CHECKING:
    from magistral_mlx.api.model import Magistral


STOPPING = "Stopping; press again to end at once"
"""The word at the first Ctrl-C."""


class Stream(Protocol):
    """The part of `AnswerStream` in use here: its events, and a way to stop it."""

    def __iter__(self) -> Iterator[Event]:
        """The events; the last one is `Finished`."""
        ...

    def stop(self) -> None:
        """End at the next token with `Finished`; safe in a signal handler."""


def load_model(name: str | None, *, console: Console, wire: bool = False) -> "Magistral":
    """Load the model called `name`, or the best installed one, with progress on stderr.

    Raises:
        MagistralError: the model cannot be loaded.
    """

    def progress(stage: str, done: int, total: int) -> None:
        share = f" {100 * done // total} %" if total else ""
        console.progress(f"{stage}{share}")

    console.progress(f"Loading {name or 'the best installed model'} ...")
    try:
        from magistral_mlx.api.model import load

        return load(name, wire=wire, progress=progress)
    finally:
        console.end_progress()


def follow(stream: Stream, *, console: Console, reasoning: bool, answer: bool) -> Reply:
    """Show the events of `stream` on `console` and return the reply; Ctrl-C as in `follow_with`.

    Args:
        stream: an `AnswerStream`.
        console: where to show it.
        reasoning: stream the reasoning to stderr.
        answer: stream the answer to stdout.
    """
    display = _Display(console, reasoning=reasoning, answer=answer)
    try:
        return follow_with(stream, display.show)
    finally:
        display.end()


def follow_with(stream: Stream, show: Callable[[Event], None]) -> Reply:
    """Give every event but the last one to `show`, and return the reply of the last one.

    The first Ctrl-C says so and stops the answer: the stream then ends with what was produced, as STOPPED. A
    second one interrupts whatever runs, without waiting for it.
    """
    with _ctrl_c_calls(stream.stop):
        for event in stream:
            if isinstance(event, Finished):
                return event.reply
            show(event)
    raise RuntimeError("the stream of an answer ended without `Finished`")


@contextmanager
def _ctrl_c_calls(stop: Callable[[], None]) -> Generator[None]:
    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # `before` may ignore it
        stop()
        with suppress(OSError, RuntimeError):  # RuntimeError: the press came in the middle of a write
            sys.stderr.write(f"{chr(10) if sys.stderr.isatty() else ''}{STOPPING}\n")
            sys.stderr.flush()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Display:
    def __init__(self, console: Console, *, reasoning: bool, answer: bool) -> None:
        self._console = console
        self._shows_reasoning = reasoning
        self._shows_answer = answer
        self._reasoning = ""
        self._answer = ""

    def show(self, event: Event) -> None:
        match event:
            case PrefillProgress(done=done, total=total):
                self._console.progress(f"Reading the question: {done} of {total} tokens")
            case ReasoningText(text=text):
                self._show_reasoning(text)
            case AnswerText(text=text):
                self._show_answer(text)
            case _:
                pass

    def end(self) -> None:
        """Leave both streams at the beginning of a line."""
        self._console.end_progress()
        if self._shows_answer and self._answer:
            if not self._answer.endswith("\n"):
                self._console.result("\n")
        elif self._shows_reasoning and self._reasoning and not self._reasoning.endswith("\n"):
            self._console.aside("\n")

    def _show_reasoning(self, text: str) -> None:
        if self._shows_reasoning:
            if not self._reasoning:
                self._console.end_progress()
            self._console.aside(text)
        elif not self._reasoning:
            self._console.progress("Thinking ...")
        self._reasoning += text

    def _show_answer(self, text: str) -> None:
        if self._shows_answer:
            if self._shows_reasoning and self._reasoning and not self._answer:
                self._console.aside("\n\n")
            if not self._answer:
                self._console.end_progress()
            self._console.result(text)
        self._answer += text
