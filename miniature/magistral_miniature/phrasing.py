"""From templates to questions as people type them, with a share of wordings held out.

Every seventh template of a list, and some openings, are never used in training; evaluation uses
nothing else, but not those that the grammars make all the same, and `wordings_fresh` besides.
"""

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from magistral_miniature.fillers import among_other_words
from magistral_miniature.grammars import Grammars, composed, makes
from magistral_miniature.wordings_fresh import FRESH

__all__ = ["HELD_OUT_STEP", "Split", "evaluated", "phrase", "templates_of"]

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
    "Let me ask you something. ",
    "Here is my question: ",
    "One question: ",
    "Another question. ",
    "Good morning. ",
    "Good evening, ",
    "Excuse me, ",
    "Sorry, ",
    "Well, ",
    "So, ",
    "Alright: ",
    "Please answer: ",
    "Please help me. ",
    "Can you help me? ",
    "I have a question. ",
    "I need your help. ",
    "My teacher asks: ",
    "My son wants to know: ",
    "Homework: ",
    "Task: ",
    "Question: ",
    "Q: ",
    "User: ",
    "Take your time. ",
    "Pay attention. ",
    "Try this one. ",
    "Try again: ",
    "First of all, ",
    "Just one thing: ",
    "Work slowly. ",
    "Reason first. ",
    "Think first. ",
    "Concentrate. ",
    "I wonder: ",
    "Could you tell me: ",
    "Can you answer this? ",
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
    "Here is an image. ",
    "This is a picture. ",
    "I drew this. ",
    "I made this picture. ",
    "Have a look at the image. ",
    "In the image: ",
    "In the picture you see, ",
    "Using the picture, answer: ",
    "Based on the image: ",
    "Consider the picture. ",
    "With the picture in mind: ",
    "You see a picture. ",
    "Examine the picture carefully. ",
    "Look closely. ",
    "Look again. ",
    "For this image: ",
)
_CLOSINGS = (
    " Thanks!",
    " Please.",
    " Think step by step.",
    " Thank you.",
    " Answer briefly.",
    " Be careful.",
    " Explain your reasoning.",
    " Take care.",
    " Take your time.",
    " Do it carefully.",
    " Do not guess.",
    " I need it soon.",
    " I need to be sure.",
    " It is important.",
    " Check your work.",
    " Show your work.",
    " Tell me.",
    " Help me.",
    " Can you do that?",
    " Just answer.",
    " Be quick.",
    " Be exact.",
    " Think about it.",
    " Thanks in advance.",
    " Cheers!",
    " I am curious.",
    " What do you say?",
    " Go!",
)
_SMALL_WORDS = ("the", "a", "an", "is", "of", "in", "do", "does", "please", "me", "this", "there")


def templates_of(templates: Sequence[str], split: Split) -> list[str]:
    """Return the templates of one split."""
    held = [t for i, t in enumerate(templates) if i % HELD_OUT_STEP == HELD_OUT_STEP - 2]
    return held if split == "held-out" else [t for t in templates if t not in held]


@lru_cache
def evaluated(templates: tuple[str, ...], parts: Grammars = ()) -> tuple[str, ...]:
    """Return the templates for evaluation: training has never drawn one or put one together."""
    held = templates_of(templates, "held-out")
    return (*(template for template in held if not makes(parts, template)), *FRESH.get(templates, ()))


def phrase(
    rng: random.Random,
    templates: tuple[str, ...],
    split: Split,
    *,
    picture: bool = False,
    slots: dict[str, object] | None = None,
    parts: Grammars = (),
) -> str:
    """Fill a random template of the split and vary how it is typed.

    In training, half of the wordings are put together from `parts`, where there are any.
    """
    if split == "held-out":
        template = rng.choice(evaluated(templates, parts))
    elif parts and rng.random() < 0.5:
        template = composed(rng, parts)
    else:
        template = rng.choice(templates_of(templates, split))
    if split == "train" and rng.random() < (0.25 if "{a}" in template else 0.08):
        template = among_other_words(rng, template)
    text = template.format(**(slots or {}))
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
    if split == "train" and rng.random() < 0.1:
        text = _without_a_word(rng, text)
    chance = rng.random()
    if chance < 0.12:
        text = text.rstrip("?.")
    elif chance < 0.2:
        text = text.lower()
    elif chance < 0.28:
        text = text.lower().rstrip("?.")
    return text


def _without_a_word(rng: random.Random, text: str) -> str:
    """Leave out one small word, as hasty people do."""
    words = text.split(" ")
    small = [i for i, word in enumerate(words) if word.lower() in _SMALL_WORDS]
    if small:
        del words[rng.choice(small)]
    return " ".join(words)
