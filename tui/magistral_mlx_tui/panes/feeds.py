"""Append new text of the turns to the panes; nothing is drawn twice."""

from collections.abc import Callable, Sequence

from magistral_mlx.sanitize import sanitize
from magistral_mlx_tui.conversation.turns import Turn
from magistral_mlx_tui.panes.stream_pane import StreamPane
from magistral_mlx_tui.text.format import format_seconds, format_tokens
from magistral_mlx_tui.text.layout.lines import FixedDocument, Line
from magistral_mlx_tui.text.markdown.document import MarkdownDocument

_MOST_AT_ONCE = 12_000
"""Characters that are taken into one frame: a long conversation that is opened comes in several."""


class Feed:
    """Keeps one pane in step with one channel of the turns.

    Args:
        pane: where it is shown.
        pieces: the channel: a turn's reasoning or its answer.
        closing_lines: lines below a finished turn.
    """

    def __init__(
        self,
        pane: StreamPane,
        *,
        pieces: Callable[[Turn], list[str]],
        closing_lines: Callable[[Turn], list[Line]],
    ) -> None:
        self.pane = pane
        self.turn: Turn | None = None
        """The last turn that is shown, or has begun to be."""
        self._pieces = pieces
        self._closing_lines = closing_lines
        self._finished = 0
        self._open: Turn | None = None
        self._taken = 0
        self._rest = ""

    def clear(self) -> None:
        """Begin anew with an empty pane."""
        self.pane.clear()
        self.pane.set_live(False)
        self._finished, self.turn, self._open, self._taken, self._rest = 0, None, None, 0, ""

    def sync(self, turns: Sequence[Turn]) -> bool:
        """Show what is new, or as much of it as one frame should take; returns whether there is more."""
        room = _MOST_AT_ONCE
        while self._finished < len(turns):
            turn = turns[self._finished]
            if self._open is not turn:
                self._begin(turn)
            pieces = self._pieces(turn)
            self._rest += "".join(pieces[self._taken :])
            self._taken = len(pieces)
            text, self._rest = self._rest[:room], self._rest[room:]
            if text:
                self.pane.append(text)
                room -= len(text)
            if turn.running or self._rest:
                return bool(self._rest)
            self._end(turn)
        return False

    def _begin(self, turn: Turn) -> None:
        self._open = self.turn = turn
        self._taken = 0
        self.pane.add(FixedDocument(question_lines(turn, first=self._finished == 0)))
        self.pane.add(MarkdownDocument())

    def _end(self, turn: Turn) -> None:
        self.pane.finish()
        if words := self._closing_lines(turn):
            self.pane.add(FixedDocument(words))
        self.pane.set_live(False)
        self._finished += 1
        self._open = None


def question_lines(turn: Turn, *, first: bool) -> list[Line]:
    """The question, which separates the turns."""
    lines = [] if first else [Line("")]
    number, of = turn.sibling
    if of > 1:
        lines += [Line(f"‹{number}/{of}›  Ctrl+L other versions", "hint")]
    for number, part in enumerate(sanitize(turn.question.text).replace("\t", "    ").split("\n")):
        lines.append(Line(part, "question", lead="  " if number else "❯ ", hang="  "))
    lines += [Line(image.label, "attachment", lead="  ▣ ", hang="    ") for image in turn.question.images]
    return [*lines, Line("")]


def thought_words(turn: Turn) -> list[Line]:
    """The line below a finished reasoning."""
    if not turn.reasoning_tokens:
        return [Line("Answered without reasoning.", "hint")] if turn.answer_tokens else []
    figures = f"thought for {format_seconds(turn.thinking_seconds)} · {format_tokens(turn.reasoning_tokens)}"
    return [Line(""), Line(figures, "hint")]


def answer_words(turn: Turn) -> list[Line]:
    """The line below a finished answer: the reason why it ended, unless it is complete."""
    return [Line(""), Line(turn.ending_note, "warning")] if turn.ending_note else []
