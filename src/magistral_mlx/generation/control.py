"""Limits of a reply, enforced on token ids: how long it thinks, how long it is, when it runs in circles.

The rules, in the order they are applied to each generated token:

1. The end-of-turn token ends the reply.
2. `max_tokens` tokens end it.
3. A loop in the answer ends it; a loop in a thought closes the thought, and thoughts opened later are closed
   at once.
4. A thought is closed when the thoughts of this reply hold `thinking_budget` tokens, or when only the answer
   reserve is left of `max_tokens`.

Closing a thought means that [/THINK] is the next token whatever the model would have written; the model then
answers from what it has thought so far.
"""

from dataclasses import dataclass

from magistral_mlx.generation.events import Ending
from magistral_mlx.generation.loops import CycleDetector
from magistral_mlx.generation.sections import Section, SectionTracker
from magistral_mlx.prompt.tokenizer import SpecialIds

LARGEST_RESERVE = 1024
SMALLEST_RESERVE = 8


def answer_reserve(max_tokens: int) -> int:
    """How many of `max_tokens` tokens are kept for the answer.

    A quarter, at most 1,024. Under 32 tokens nothing is kept: a handful of tokens makes no answer, so the
    reply is honestly cut off in its thought.
    """
    reserve = min(LARGEST_RESERVE, max_tokens // 4)
    return reserve if reserve >= SMALLEST_RESERVE else 0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """All counts in generated tokens."""

    max_tokens: int
    """Of the whole reply, control tokens included; at least 1."""
    thinking_budget: int | None = None
    """Of all thoughts of the reply together, without their control tokens; None: no own limit."""
    answer_reserve: int = 0
    """Of `max_tokens`, out of reach for a thought; [/THINK] itself is not counted."""


@dataclass(frozen=True)
class Verdict:
    """What follows a token: forced ids, an ending, or (neither) the model's own next token."""

    forced: tuple[int, ...] = ()
    ending: Ending | None = None


_GO_ON = Verdict()


class Control:
    """Watches one reply; see the module's rules."""

    def __init__(self, limits: Limits, special: SpecialIds, *, thinking_open: bool = False) -> None:
        self._limits = limits
        self._special = special
        self._tracker = SectionTracker(special, thinking_open=thinking_open)
        self._cycles = CycleDetector()
        self._thought_is_over = False
        self._thought_tokens = 0
        self.generated = 0

    def push(self, token_id: int) -> Verdict:
        """Takes the next generated (or forced) token; what is to follow it."""
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
        if thinking and (loop or self._must_close()):
            self._thought_is_over = True
            return self._close_thought()
        return _GO_ON

    def _own_ending(self) -> Ending:
        if self._tracker.section is Section.REASONING:
            return Ending.CUT_IN_REASONING
        return Ending.TOOL_CALLS if self._tracker.tool_calls else Ending.COMPLETE

    def _must_close(self) -> bool:
        limits = self._limits
        if self._thought_is_over:
            return True
        if limits.thinking_budget is not None and self._thought_tokens >= limits.thinking_budget:
            return True
        # The closing token comes before the reserve.
        return limits.answer_reserve > 0 and (self.generated >= limits.max_tokens - limits.answer_reserve - 1)

    def _close_thought(self) -> Verdict:
        # Inside a thought the id exists: only [THINK] or an open prompt leads there.
        return Verdict(forced=(self._special.end_think,)) if self._special.end_think is not None else _GO_ON
