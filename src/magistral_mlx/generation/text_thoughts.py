"""Replies of Magistral Small 1.0, whose thoughts are marked in the text: followed and split.

The counterparts of `sections.SectionTracker` and `splitter.EventSplitter`, to the same events. The model's
format for tool calls is not read: tools are refused before it is asked.
"""

from collections.abc import Sequence

from magistral_mlx.generation.events import AnswerText, ReasoningText
from magistral_mlx.generation.sections import Section
from magistral_mlx.generation.splitter import Piece
from magistral_mlx.generation.stop_strings import StopMatcher
from magistral_mlx.generation.text_marks import TextMarks
from magistral_mlx.prompt.tokenizer import TextDecoder, Tokenizer


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
        """Takes the next token; True if it completes a mark that starts a section."""
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
        """What was held back, now that the reply is over, wherever it ended."""
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
