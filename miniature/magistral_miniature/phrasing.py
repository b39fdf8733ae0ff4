"""From templates to questions as people type them, with a share of wordings held out.

Every seventh template of a list, and some openings, are never used in training; evaluation uses
nothing else.
"""

import random
from collections.abc import Sequence
from typing import Literal

__all__ = ["HELD_OUT_STEP", "Split", "phrase", "templates_of"]

Split = Literal["train", "held-out"]
HELD_OUT_STEP = 7

_OPENINGS = (
    "Please tell me: ",
    "Quick question: ",
    "Hi! ",
    "Hello, ",
    "Tell me: ",
    "I would like to know: ",
    "A question: ",
    "Hey, ",
    "Help me with this: ",
    "Now this: ",
    "Next question: ",
    "Dear model, ",
    "Think carefully. ",
    "OK, ",
    "And now: ",
    "Answer this: ",
)
_PICTURE_OPENINGS = (
    "Look at the picture. ",
    "Here is a picture. ",
    "In this picture: ",
    "Look at this image. ",
    "See the attached picture. ",
    "I have attached a picture. ",
    "About the picture: ",
    "From the image: ",
    "Take a look at this. ",
    "Study the image. ",
)
_CLOSINGS = (
    " Thanks!",
    " Please.",
    " Think step by step.",
    " Thank you.",
    " Answer briefly.",
    " Be careful.",
    " Explain your reasoning.",
)


def templates_of(templates: Sequence[str], split: Split) -> list[str]:
    """Return the templates of one split."""
    held = [t for i, t in enumerate(templates) if i % HELD_OUT_STEP == HELD_OUT_STEP - 2]
    return held if split == "held-out" else [t for t in templates if t not in held]


def phrase(
    rng: random.Random,
    templates: Sequence[str],
    split: Split,
    *,
    picture: bool = False,
    slots: dict[str, object] | None = None,
) -> str:
    """Fill a random template of the split and vary how it is typed."""
    text = rng.choice(templates_of(templates, split)).format(**(slots or {}))
    text = text[0].upper() + text[1:]
    if rng.random() < 0.3:
        openings = _OPENINGS + _PICTURE_OPENINGS * 2 if picture else _OPENINGS
        opening = rng.choice(templates_of(openings, split))
        if opening[-2] in ":," and rng.random() < 0.7:
            text = text[0].lower() + text[1:]
        text = opening + text
    if rng.random() < 0.12:
        if text[-1] not in ".?!=":
            text += "."
        text += rng.choice(templates_of(_CLOSINGS, split))
    chance = rng.random()
    if chance < 0.12:
        text = text.rstrip("?.")
    elif chance < 0.2:
        text = text.lower()
    elif chance < 0.28:
        text = text.lower().rstrip("?.")
    return text
