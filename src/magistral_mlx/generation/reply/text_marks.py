"""Thoughts marked in the text, found in a stream of pieces however tokens split the marks.

A reply begins with <think>, or it has no thought: a mark anywhere else is something the model wrote about.
Blank lines around the marks belong to them.
"""

from collections.abc import Sequence

from magistral_mlx.events import AnswerText, ReasoningText
from magistral_mlx.generation.reply.sections import Section
from magistral_mlx.generation.reply.splitter import Piece
from magistral_mlx.generation.reply.stop_strings import StopMatcher
from magistral_mlx.prompt.system_prompt import ThoughtMarks
from magistral_mlx.prompt.tokenizer import TextDecoder, Tokenizer

_OPEN, _CLOSE = ThoughtMarks.TEXT.value


class TextMarks:
    """Splits the text of one reply; the next text belongs to `section`."""

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
        """The text held back, now that the reply is over."""
        held, self._held = self._held, ""
        return [(self.section, held)] if held.strip() else []

    def _begin(self) -> bool:
        """Whether the beginning of the reply is certain."""
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
    """Length of an open thought without a possible closing mark and the blanks before it."""
    for length in range(len(_CLOSE) - 1, 0, -1):
        if thought.endswith(_CLOSE[:length]):
            thought = thought[:-length]
            break
    return len(thought.rstrip())


class TextSectionTracker:
    """Follows a reply token by token, as `sections.SectionTracker` does; there are no tool calls."""

    tool_calls = 0

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._decoder = TextDecoder(tokenizer)
        self._marks = TextMarks()

    @property
    def section(self) -> Section:
        """The section that the next ordinary token belongs to."""
        return self._marks.section

    def push(self, token_id: int) -> bool:
        """Take the next token; True if it completes a mark that starts a section."""
        before = self.section
        self._marks.push(self._decoder.push(token_id))
        return self.section is not before


class TextThoughtSplitter:
    """Splits one reply, as `splitter.EventSplitter` does.

    Args:
        tokenizer: gives the bytes of tokens.
        stop: strings that end the answer; looked for in the answer only.
    """

    def __init__(self, tokenizer: Tokenizer, *, stop: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._decoder = TextDecoder(tokenizer)
        self._marks = TextMarks()
        self._stops = StopMatcher(stop)
        self._uncounted = 0
        self._over = False
        self.reasoning_tokens = 0
        self.answer_tokens = 0

    @property
    def stopped(self) -> bool:
        """A stop string is complete; nothing comes any more."""
        return self._stops.matched

    def push(self, token_id: int) -> list[Piece]:
        """The events that this token completes. After the end-of-turn token: nothing."""
        if self._over or self.stopped:
            return []
        if token_id == self._tokenizer.special.eos:
            return self.finish()
        pieces = self._pieces(self._marks.push(self._decoder.push(token_id)))
        if self._tokenizer.is_control(token_id):
            return pieces
        # The tokens of a mark count to what it opens or ends, as nearly as tokens and marks coincide.
        self._uncounted += 1
        if self._marks.section is Section.REASONING:
            self.reasoning_tokens += 1
        else:
            self.answer_tokens += 1
        return pieces

    def finish(self) -> list[Piece]:
        """The text held back, now that the reply is over."""
        if self._over or self.stopped:
            return []
        self._over = True
        rest = self._marks.push(self._decoder.flush()) + self._marks.flush()
        pieces = self._pieces(rest)
        if held := self._stops.flush():
            pieces.append(AnswerText(held, self._count()))
        return pieces

    def _pieces(self, parts: Sequence[tuple[Section, str]]) -> list[Piece]:
        pieces: list[Piece] = []
        for section, text in parts:
            if section is Section.REASONING:
                pieces.append(ReasoningText(text, self._count()))
            elif released := self._stops.push(text):
                pieces.append(AnswerText(released, self._count()))
        return pieces

    def _count(self) -> int:
        count, self._uncounted = self._uncounted, 0
        return count
