"""Limits of a reply, enforced on token ids: how long it thinks, how long it is, when it runs in circles.

The rules, in the order they are applied to each generated token:

1. The end-of-turn token ends the reply.
2. `max_tokens` tokens end it.
3. A loop in the answer ends it; a loop in a thought closes the thought, and thoughts opened later are closed
   at once. Exact cycles are loops in both; near-cycles only in a thought, where a false alarm costs a thought
   that goes in circles and not an answer that someone wants (many rows of a form that hardly change).
4. A thought is closed when the thoughts of this reply hold `thinking_budget` tokens, or when only the answer
   reserve is left of `max_tokens`, or when somebody asks for the answer.

Closing a thought means that [/THINK] is the next token whatever the model would have written; the model then
answers from what it has thought so far. Before it stand the ids of a `Landing`, where there is room for them
within the limits: no limit is ever exceeded by its own landing.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from magistral_mlx.events import Ending
from magistral_mlx.generation.reply.loops import CycleDetector, NearCycleDetector
from magistral_mlx.generation.reply.sections import Section, SectionTracker, Tracker
from magistral_mlx.prompt.system_prompt import ThoughtMarks
from magistral_mlx.prompt.tokenizer import SpecialIds, Tokenizer

LARGEST_RESERVE = 1024
SMALLEST_RESERVE = 8
LANDING_TEXT = "\n\n… ⇒"
"""The end of a thought that is cut short: an ellipsis and an arrow, "therefore". No words, so a
thought in French does not end in English. Readers see the cut."""
LANDING_ZONE = 48
"""A thought may end this many tokens before its limit if a sentence ends there; at most an eighth of it."""
_SENTENCE_ENDS = (b".", b"!", b"?", b"\n", "。".encode(), "！".encode(), "？".encode())


@dataclass(frozen=True)
class Landing:
    """The tokens that end a thought that is cut short."""

    ids: tuple[int, ...] = ()
    """Written before [/THINK]."""
    ends_sentence: Callable[[int], bool] = lambda token_id: False
    """Whether a sentence ends with that token."""
    closing: tuple[int, ...] = ()
    """Ids that close a thought where no control token does."""


def soft_landing(tokenizer: Tokenizer) -> Landing:
    """`LANDING_TEXT` in that tokenizer's ids."""

    def ends_sentence(token_id: int) -> bool:
        return tokenizer.token_bytes(token_id).endswith(_SENTENCE_ENDS)

    closing: list[int] = []
    if tokenizer.thought_marks is ThoughtMarks.TEXT:
        closing = tokenizer.encode_text(f"\n{ThoughtMarks.TEXT.closing}\n")
    return Landing(tuple(tokenizer.encode_text(LANDING_TEXT)), ends_sentence, tuple(closing))


def answer_reserve(max_tokens: int) -> int:
    """Tokens of `max_tokens` that are kept for the answer.

    A quarter, at most 1,024. Under 32 tokens nothing is kept: a handful of tokens makes no answer, so the
    reply is cut off in its thought and says so.
    """
    reserve = min(LARGEST_RESERVE, max_tokens // 4)
    return reserve if reserve >= SMALLEST_RESERVE else 0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """All counts in generated tokens."""

    max_tokens: int
    """Tokens of the whole reply, control tokens included; at least 1."""
    thinking_budget: int | None = None
    """Tokens of all thoughts of the reply, without their control tokens; None: no limit."""
    answer_reserve: int = 0
    """Tokens of `max_tokens` that no thought may use; [/THINK] itself is not counted."""


@dataclass(frozen=True)
class Verdict:
    """The consequence of a token: forced ids, an ending, or neither: the model chooses the next token."""

    forced: tuple[int, ...] = ()
    ending: Ending | None = None


_GO_ON = Verdict()


class Control:
    """Watches one reply; see the module's rules.

    Args:
        landing: how thoughts that are cut short end; the default: abruptly.
        thinking_open: the prompt ends inside a thought.
        tracker: follows the sections; by control ids without it.
    """

    def __init__(
        self,
        limits: Limits,
        special: SpecialIds,
        *,
        landing: Landing | None = None,
        thinking_open: bool = False,
        tracker: Tracker | None = None,
    ) -> None:
        self._limits = limits
        self._special = special
        self._landing = landing or Landing()
        self._tracker = tracker or SectionTracker(special, thinking_open=thinking_open)
        # Without marks in the text the id exists: only [THINK] or an open prompt leads into a thought.
        self._end = self._landing.closing or tuple(i for i in (special.end_think,) if i is not None)
        self._cycles = CycleDetector()
        self._near_cycles = NearCycleDetector()
        self._to_write: deque[int] = deque()
        self._closing = False
        self._thought_is_over = False
        self._thought_tokens = 0
        self._answer_now = False
        self.generated = 0

    def resume_after(self, token_id: int) -> None:
        """Take a token of a reply being continued. Only its thought counts, towards the budget."""
        starts_section = self._tracker.push(token_id)
        self._thought_tokens += self._tracker.section is Section.REASONING and not starts_section

    def answer_now(self) -> None:
        """Close the thought that is open, or that opens before the answer begins."""
        self._answer_now = True

    def hint(self, token_ids: Sequence[int]) -> None:
        """Write ordinary tokens into the thought that is open, or that opens before the answer begins."""
        self._to_write.extend(token_ids)

    def push(self, token_id: int) -> Verdict:
        """Take the next generated or forced token; return the consequence."""
        self.generated += 1
        starts_section = self._tracker.push(token_id)
        thinking = self._tracker.section is Section.REASONING
        self._thought_tokens += thinking and not starts_section
        loop = self._cycles.push(token_id)
        if token_id == self._special.eos:
            return Verdict(ending=self._own_ending())
        if self.generated >= self._limits.max_tokens:
            return Verdict(ending=Ending.CUT_IN_REASONING if thinking else Ending.CUT_IN_ANSWER)
        if loop and not thinking:
            return Verdict(ending=Ending.LOOP)
        if thinking:
            loop = self._near_cycles.push(token_id) or loop
            return self._in_thought(token_id, cut_short=loop or self._answer_now)
        self._closing = False
        if not starts_section:  # the answer has begun: too late for hints
            self._answer_now = False
            self._to_write.clear()
        return _GO_ON

    def _own_ending(self) -> Ending:
        if self._tracker.section is Section.REASONING:
            return Ending.CUT_IN_REASONING
        return Ending.TOOL_CALLS if self._tracker.tool_calls else Ending.COMPLETE

    def _in_thought(self, token_id: int, *, cut_short: bool) -> Verdict:
        if not self._closing and (cut_short or self._must_close(token_id)):
            self._close()
        if self._to_write:
            return Verdict(forced=(self._to_write.popleft(),))
        return _GO_ON

    def _must_close(self, token_id: int) -> bool:
        room, landing = self._room(), len(self._landing.ids)
        if self._thought_is_over or room <= 0:
            return True
        if not landing or self._thought_tokens < 2 * landing:
            return False
        zone = min(LANDING_ZONE, self._thought_tokens // 8)
        return room == landing or (room <= landing + zone and self._landing.ends_sentence(token_id))

    def _close(self) -> None:
        """Write the landing, if there is room, and the closing mark, instead of anything waiting."""
        self._to_write.clear()
        if not self._thought_is_over and 0 < len(self._landing.ids) <= self._room():
            self._to_write.extend(self._landing.ids)
        self._to_write.extend(self._end)
        self._closing = self._thought_is_over = True
        self._answer_now = False

    def _room(self) -> int:
        """Tokens that the thought may still take before [/THINK]."""
        limits = self._limits
        room = limits.max_tokens
        if limits.answer_reserve:  # without one, the reply's own limit cuts the thought, and says so
            room -= limits.answer_reserve + len(self._end) + self.generated
        if limits.thinking_budget is not None:
            room = min(room, limits.thinking_budget - self._thought_tokens)
        return room
