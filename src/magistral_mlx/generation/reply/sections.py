"""The section of a reply (thought, answer, tool call), decided on token ids alone.

The control ids are looked up by name in tekken.json ([THINK], [/THINK], [TOOL_CALLS], [ARGS]); text that
spells them consists of ordinary tokens and changes nothing. Misplaced markers change
nothing either: a closer without an open thought, an opener or a tool call inside a thought.
"""

from enum import Enum
from typing import Protocol

from magistral_mlx.prompt.tokenizer import SpecialIds


class Section(Enum):
    """The section of an ordinary token of a reply."""

    REASONING = "reasoning"
    ANSWER = "answer"
    TOOL_NAME = "tool_name"
    TOOL_ARGUMENTS = "tool_arguments"


class Tracker(Protocol):
    """Follow a reply token by token."""

    @property
    def section(self) -> Section:
        """The section that the next ordinary token belongs to."""
        ...

    @property
    def tool_calls(self) -> int:
        """Tool calls opened."""
        ...

    def push(self, token_id: int) -> bool:
        """Take the next token; True if it starts a section (or the same one anew)."""
        ...


class SectionTracker:
    """Follow a reply token by token.

    Args:
        special: the control ids of the tokenizer; one that is None never comes.
        thinking_open: the prompt ends inside a thought that the reply goes on with.
    """

    def __init__(self, special: SpecialIds, *, thinking_open: bool = False) -> None:
        self._special = special
        self.section = Section.REASONING if thinking_open else Section.ANSWER
        """The section that the next ordinary token belongs to."""
        self.tool_calls = 0
        """How many tool calls were opened."""

    def push(self, token_id: int) -> bool:
        """Take the next token; True if it is a marker that starts a section (or the same one anew)."""
        special = self._special
        if token_id == special.end_think:
            return self._enter(Section.ANSWER, allowed=self.section is Section.REASONING)
        if self.section is Section.REASONING:
            return False
        if token_id == special.think:
            return self._enter(Section.REASONING, allowed=True)
        if token_id == special.tool_calls:
            self.tool_calls += 1
            return self._enter(Section.TOOL_NAME, allowed=True)
        if token_id == special.args:
            return self._enter(Section.TOOL_ARGUMENTS, allowed=self.section is Section.TOOL_NAME)
        return False

    def _enter(self, section: Section, *, allowed: bool) -> bool:
        if allowed:
            self.section = section
        return allowed
