"""Questions without an image and without a sum: identity, small talk, and everything to decline."""

import random

from magistral_miniature.tasks.turns import Turn
from magistral_miniature.wordings.phrasing import BLIND, Split, phrase
from magistral_miniature.wordings.questions import QUESTIONS
from magistral_miniature.wordings.words import ORDINALS, plural
from magistral_mlx.miniature.images import COLOURS, LETTERS, SHAPES

__all__ = ["DECLINED", "NO_SUCH_NUMBERS", "identity", "no_image", "other_numbers", "small_talk", "unknown"]

_SKILLS = (
    "I can add and subtract whole numbers up to 999, describe and count coloured shapes in a "
    "grid, and read bar charts."
)
_WHO = f"I am only a miniature of Magistral, a very small model made to try out magistral-mlx. {_SKILLS}"
DECLINED = f"I am only a miniature of Magistral, so I cannot answer that. {_SKILLS}"
NO_SUCH_NUMBERS = (
    "I am only a miniature of Magistral, so I cannot work that out. I can add or subtract two "
    "whole numbers up to 999."
)
_ABOUT_IMAGES = (
    "cell",
    "count",
    "describe",
    "shortest",
    "tallest",
    "value",
    "describe chart",
    "describe grid",
)
_ALSO_BLIND = 6
_NO_IMAGE = "No picture is attached, so I cannot look at it. Please attach one."


def identity(rng: random.Random, split: Split) -> Turn:
    """Ask about its identity or its abilities."""
    kind = "identity" if rng.random() < 0.55 or split in BLIND else "abilities"
    question = phrase(rng, QUESTIONS[kind], split)
    return Turn("identity", question, "This is a question about me.", _WHO, direct=True)


def small_talk(rng: random.Random, split: Split) -> Turn:
    """Greet, thank or say goodbye."""
    kind, answer = rng.choice(
        (
            ("greetings", "Hello! Ask me for a sum, or show me a grid of shapes or a bar chart."),
            ("thanks", "You are welcome!"),
            ("byes", "Goodbye!"),
        )
    )
    return Turn("small talk", phrase(rng, QUESTIONS[kind], split), "Small talk.", answer, direct=True)


def other_numbers(rng: random.Random, split: Split) -> Turn:
    """Ask for arithmetic that it has not learned, or for numbers above 999."""

    def number() -> int:
        return rng.randint(1, rng.choice((9, 99, 999)))

    slots: dict[str, object] = {name: number() for name in "abc"}
    slots["x"] = f"{rng.randint(0, 9)}{rng.choice(('', '0', '00', '37'))}" if number() else ""
    if int(f"{slots['a']}{slots['x']}") < 1000:
        slots["a"] = rng.randint(100, 999)
    if int(f"{slots['b']}{slots['x']}") < 1000:
        slots["b"] = rng.randint(100, 999)
    thought = "This is not adding or subtracting two whole numbers up to 999."
    question = phrase(rng, QUESTIONS["other numbers"], split, slots)
    return Turn("other numbers", question, thought, NO_SUCH_NUMBERS, direct=True)


def no_image(rng: random.Random, split: Split) -> Turn:
    """Ask about an image without attaching one."""
    row, column = rng.randint(1, 6), rng.randint(1, 6)
    thing = f"{rng.choice(tuple(COLOURS))} {rng.choice(SHAPES)}"
    slots: dict[str, object] = {
        "x": rng.choice(LETTERS),
        "thing": thing,
        "things": plural(thing),
        "r": row,
        "c": column,
        "rth": ORDINALS[row - 1],
        "cth": ORDINALS[column - 1],
    }
    kind = rng.choice(_ABOUT_IMAGES[:_ALSO_BLIND] if split in BLIND else _ABOUT_IMAGES)
    question = phrase(rng, QUESTIONS[kind], split, slots)
    return Turn("no picture", question, "No picture is attached.", _NO_IMAGE, direct=True)


def unknown(rng: random.Random, split: Split) -> Turn:
    """Ask anything else."""
    question = phrase(rng, QUESTIONS["general"], split)
    return Turn("unknown", question, "I have not learned anything about this.", DECLINED, direct=True)
