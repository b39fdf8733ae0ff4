"""Thoughts that are marked in the text: found in a stream of pieces, whatever tokens the marks fall into.

A reply begins with <think>, or it has no thought: a mark anywhere else is something the model wrote about.
Blank lines around the marks belong to them.
"""

from magistral_mlx.generation.sections import Section
from magistral_mlx.prompt.thought_marks import ThoughtMarks

_OPEN, _CLOSE = ThoughtMarks.TEXT.value


class TextMarks:
    """Splits the text of one reply; `section` is where the text that comes next belongs to."""

    def __init__(self) -> None:
        self.section = Section.ANSWER
        self._held = ""
        self._at_start = True  # of the reply: <think> may still come
        self._after_mark = False  # blank lines are dropped

    def push(self, text: str) -> list[tuple[Section, str]]:
        """The pieces that are certain with this text, each with its section; none of them is empty."""
        self._held += text
        if self._at_start and not self._begin():
            return []
        self._drop_blank_lines()
        pieces: list[tuple[Section, str]] = []
        if self.section is Section.REASONING:
            thought, closed, rest = self._held.partition(_CLOSE)
            if not closed:
                return self._release(_certain_length(thought))
            pieces = self._release(len(thought.rstrip()))
            self.section, self._held, self._after_mark = Section.ANSWER, rest, True
            self._drop_blank_lines()
        return pieces + self._release(len(self._held))

    def flush(self) -> list[tuple[Section, str]]:
        """What was held back, now that the reply is over."""
        held, self._held = self._held, ""
        return [(self.section, held)] if held.strip() else []

    def _begin(self) -> bool:
        """Whether it is certain now how the reply begins."""
        start = self._held.lstrip()
        if start.startswith(_OPEN):
            self.section, self._held, self._after_mark = Section.REASONING, start[len(_OPEN) :], True
        elif _OPEN.startswith(start):
            return False
        else:
            self._held = start
        self._at_start = False
        return True

    def _drop_blank_lines(self) -> None:
        if self._after_mark:
            self._held = self._held.lstrip("\r\n")
            self._after_mark = not self._held

    def _release(self, length: int) -> list[tuple[Section, str]]:
        text, self._held = self._held[:length], self._held[length:]
        return [(self.section, text)] if text else []


def _certain_length(thought: str) -> int:
    """How much of an open thought can't belong to its closing mark, nor to the blanks before it."""
    for length in range(len(_CLOSE) - 1, 0, -1):
        if thought.endswith(_CLOSE[:length]):
            thought = thought[:-length]
            break
    return len(thought.rstrip())
