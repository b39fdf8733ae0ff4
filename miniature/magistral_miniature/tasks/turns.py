"""One exchange: a question, the reasoning and the answer."""

from dataclasses import dataclass

__all__ = ["NEEDS_THINKING", "Turn"]

NEEDS_THINKING = "I need to think to answer that; please switch thinking on."
"""Answer to a question that needs reasoning while reasoning is off."""


@dataclass(frozen=True)
class Turn:
    """A question with its reasoning and answer.

    Attributes:
        task: name of the kind of question, for sampling and for the measured table.
        question: what the user types.
        thought: the reasoning, without its control tokens.
        answer: the answer after the reasoning.
        direct: whether the answer can be given without the reasoning.
    """

    task: str
    question: str
    thought: str
    answer: str
    direct: bool = False
