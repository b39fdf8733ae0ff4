"""The system prompt that makes Magistral think: SYSTEM_PROMPT.txt as text, thought, text.

The file spells its thought between `[THINK]` and `[/THINK]`. Handed to the tokenizer as one string these
stay eight ordinary tokens and the model does not think; handed over in three parts the two become control
tokens, the form that Magistral was trained on (model card of Magistral-Small-2509). The file of Magistral
Small 1.0 spells it between `<think>` and `</think>`, which are ordinary text to that model.
"""

from dataclasses import dataclass
from enum import Enum

from magistral_mlx.errors import CheckpointError


class ThoughtMarks(Enum):
    """Reasoning marks of one model, as its tokenizer defines them."""

    TOKENS = ("[THINK]", "[/THINK]")
    TEXT = ("<think>", "</think>")

    @property
    def opening(self) -> str:
        return self.value[0]

    @property
    def closing(self) -> str:
        return self.value[1]


@dataclass(frozen=True)
class ReasoningPrompt:
    """The three parts of the reasoning prompt, verbatim; `before` or `after` may be empty."""

    before: str
    thinking: str
    after: str
    marks: ThoughtMarks = ThoughtMarks.TOKENS

    @classmethod
    def parse(cls, text: str, *, file: str = "SYSTEM_PROMPT.txt") -> "ReasoningPrompt":
        """Split the content of SYSTEM_PROMPT.txt at its one thought.

        Args:
            text: the whole file.
            file: how error messages name it.

        Raises:
            CheckpointError: there is not exactly one `[THINK]` followed by exactly one `[/THINK]` (or, with
                neither of them, `<think>` followed by `</think>`).
        """
        control = any(mark in text for mark in ThoughtMarks.TOKENS.value)
        textual = not control and ThoughtMarks.TEXT.opening in text
        marks = ThoughtMarks.TEXT if textual else ThoughtMarks.TOKENS
        before, opened, rest = text.partition(marks.opening)
        thinking, closed, after = rest.partition(marks.closing)
        others = before + thinking + after
        if not opened or not closed or marks.opening in others or marks.closing in others:
            raise CheckpointError(
                f"{file} has {text.count(marks.opening)} {marks.opening}"
                f" and {text.count(marks.closing)} {marks.closing}"
                " where one of each, in this order, is needed",
                "Copy SYSTEM_PROMPT.txt from the original model into the folder, or convert the model again.",
            )
        return cls(before=before, thinking=thinking, after=after, marks=marks)

    @property
    def text(self) -> str:
        """The prompt as in its file."""
        return f"{self.before}{self.marks.opening}{self.thinking}{self.marks.closing}{self.after}"


def thought_as_text(reasoning: str) -> str:
    """Return closed reasoning as Magistral Small 1.0 writes it, up to where its answer begins."""
    marks = ThoughtMarks.TEXT
    return f"{marks.opening}\n{reasoning}\n{marks.closing}\n"
