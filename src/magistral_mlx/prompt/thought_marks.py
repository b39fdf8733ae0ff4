"""How a model marks its thoughts: by control tokens, or in the text itself.

Magistral Small 1.1 and 1.2 have the control tokens [THINK] and [/THINK]. Magistral Small 1.0 was trained to
write <think> and </think> on lines of their own, as ordinary text (its model card, "Basic Chat Template").
"""

from enum import Enum


class ThoughtMarks(Enum):
    """The marks of one model; which they are follows from its tokenizer."""

    TOKENS = ("[THINK]", "[/THINK]")
    TEXT = ("<think>", "</think>")

    @property
    def opening(self) -> str:
        return self.value[0]

    @property
    def closing(self) -> str:
        return self.value[1]


def thought_as_text(reasoning: str) -> str:
    """A closed thought as Magistral Small 1.0 writes it, up to where its answer begins."""
    marks = ThoughtMarks.TEXT
    return f"{marks.opening}\n{reasoning}\n{marks.closing}\n"
