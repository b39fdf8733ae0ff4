"""Token ids of a reply -> events: thought, answer and tool calls, in whole characters."""

from collections.abc import Sequence

from magistral_mlx.events import AnswerText, ReasoningText, ToolCall
from magistral_mlx.generation.reply.sections import Section, SectionTracker
from magistral_mlx.generation.reply.stop_strings import StopMatcher
from magistral_mlx.prompt.tokenizer import TextDecoder, Tokenizer

Piece = ReasoningText | AnswerText | ToolCall
"""An event from a splitter."""


class EventSplitter:
    """Split one reply into events.

    Sections change by control id only (see `sections`). Several thoughts are one reasoning text, several
    stretches of answer one answer. A tool call is sent when its arguments are complete, that is when the next
    call, a thought or the end of the turn follows; one that was cut off is never sent.

    Args:
        tokenizer: gives the control ids and the bytes of ordinary tokens.
        stop: strings that end the answer; looked for in the answer only, never in a thought or a tool call.
        thinking_open: the prompt ends inside a thought.
    """

    def __init__(
        self, tokenizer: Tokenizer, *, stop: Sequence[str] = (), thinking_open: bool = False
    ) -> None:
        self._tokenizer = tokenizer
        self._decoder = TextDecoder(tokenizer)
        self._tracker = SectionTracker(tokenizer.special, thinking_open=thinking_open)
        self._stops = StopMatcher(stop)
        self._call: list[str] = []  # name, then arguments, of the tool call being written
        self._uncounted = 0
        self._over = False
        self.reasoning_tokens = 0
        self.answer_tokens = 0

    @property
    def stopped(self) -> bool:
        """Whether a stop string is complete; then nothing more comes."""
        return self._stops.matched

    def push(self, token_id: int) -> list[Piece]:
        """The events that this token completes; often none or one. After the end-of-turn token: nothing."""
        if self._over or self.stopped:
            return []
        if self._tokenizer.is_control(token_id):
            return self._control(token_id)
        if self._tracker.section is Section.REASONING:
            self.reasoning_tokens += 1
        else:
            self.answer_tokens += 1
        self._uncounted += 1
        return self._text(self._decoder.push(token_id), self._tracker.section)

    def finish(self) -> list[Piece]:
        """The text held back, now that the reply is over."""
        if self._over or self.stopped:
            return []
        self._over = True
        return self._end_of(self._tracker.section)

    def _control(self, token_id: int) -> list[Piece]:
        before = self._tracker.section
        starts_section = self._tracker.push(token_id)
        self._over = token_id == self._tokenizer.special.eos
        if not (starts_section or self._over):
            return self._text(self._decoder.push(token_id), before)
        pieces = self._end_of(before)
        if starts_section and self._tracker.section is Section.TOOL_ARGUMENTS:
            self._call.append("")
            return pieces
        if not self.stopped:
            pieces += self._take_call()
        if self._tracker.section is Section.TOOL_NAME:
            self._call = [""]
        return pieces

    def _text(self, text: str, section: Section) -> list[Piece]:
        if section is Section.REASONING:
            return [ReasoningText(text, self._count())] if text else []
        if section is Section.ANSWER:
            released = self._stops.push(text)
            return [AnswerText(released, self._count())] if released else []
        self._call[-1] += text
        return []

    def _end_of(self, section: Section) -> list[Piece]:
        """The text of `section` that was held back: bytes of a character, a possible stop string."""
        pieces = self._text(self._decoder.flush(), section)
        if section is Section.ANSWER and (held := self._stops.flush()):
            pieces.append(AnswerText(held, self._count()))
        self._uncounted = 0
        return pieces

    def _take_call(self) -> list[Piece]:
        call, self._call = self._call, []
        return [ToolCall(name=call[0].strip(), arguments="".join(call[1:]))] if call else []

    def _count(self) -> int:
        count, self._uncounted = self._uncounted, 0
        return count
