"""Questions without a picture that are not sums: who it is, small talk, and all it cannot do."""

import random
import re

from magistral_miniature.phrasing import Split, phrase
from magistral_miniature.turns import Turn
from magistral_miniature.wordings_charts import SHORTEST_PARTS, TALLEST_PARTS, VALUE_PARTS
from magistral_miniature.wordings_grids import COUNT_PARTS, DESCRIBE_PARTS
from magistral_miniature.wordings_identity import IDENTITY_PARTS
from magistral_miniature.wordings_pictures import (
    CELL,
    COUNT,
    DESCRIBE,
    DESCRIBE_CHART,
    DESCRIBE_GRID,
    SHORTEST,
    TALLEST,
    VALUE,
)
from magistral_miniature.wordings_places import CELL_PARTS
from magistral_miniature.wordings_talk import (
    ABILITIES,
    BYES,
    GENERAL,
    GREETINGS,
    IDENTITY,
    OTHER_NUMBERS,
    SLOTS,
    THANKS,
)
from magistral_miniature.words import ORDINALS, plural
from magistral_mlx.miniature.pictures import COLOURS, LETTERS, SHAPES

__all__ = ["identity", "no_picture", "other_numbers", "small_talk", "unknown"]

_SKILLS = (
    "I can add and subtract whole numbers up to 999, describe and count coloured shapes in a "
    "grid, and read bar charts."
)
_WHO = f"I am only a miniature of Magistral, a very small model made to try out magistral-mlx. {_SKILLS}"
_UNKNOWN = f"I am only a miniature of Magistral, so I cannot answer that. {_SKILLS}"
_NUMBERS = (
    "I am only a miniature of Magistral, so I cannot work that out. I can add or subtract two "
    "whole numbers up to 999."
)
_ABOUT_PICTURES = (
    (CELL, CELL_PARTS),
    (COUNT, COUNT_PARTS),
    (DESCRIBE, DESCRIBE_PARTS),
    (DESCRIBE_CHART, ()),
    (DESCRIBE_GRID, ()),
    (SHORTEST, SHORTEST_PARTS),
    (TALLEST, TALLEST_PARTS),
    (VALUE, VALUE_PARTS),
)
_NO_PICTURE = "No picture is attached, so I cannot look at it. Please attach one."


def identity(rng: random.Random, split: Split) -> Turn:
    """Ask who it is or what it can do."""
    wordings = IDENTITY if rng.random() < 0.55 else ABILITIES
    question = phrase(rng, wordings, split, parts=IDENTITY_PARTS)
    return Turn("identity", question, "This is a question about me.", _WHO, direct=True)


def small_talk(rng: random.Random, split: Split) -> Turn:
    """Greet, thank or say goodbye."""
    wordings, answer = rng.choice(
        (
            (GREETINGS, "Hello! Ask me for a sum, or show me a grid of shapes or a bar chart."),
            (THANKS, "You are welcome!"),
            (BYES, "Goodbye!"),
        )
    )
    return Turn("small talk", phrase(rng, wordings, split), "Small talk.", answer, direct=True)


def other_numbers(rng: random.Random, split: Split) -> Turn:
    """Ask for arithmetic that was not learned, or with numbers above 999."""

    def number() -> int:
        return rng.randint(1, rng.choice((9, 99, 999)))

    slots: dict[str, object] = {name: number() for name in "abc"}
    slots["x"] = f"{rng.randint(0, 9)}{rng.choice(('', '0', '00', '37'))}" if number() else ""
    if int(f"{slots['a']}{slots['x']}") < 1000:
        slots["a"] = rng.randint(100, 999)
    if int(f"{slots['b']}{slots['x']}") < 1000:
        slots["b"] = rng.randint(100, 999)
    thought = "This is not adding or subtracting two whole numbers up to 999."
    question = phrase(rng, OTHER_NUMBERS, split, slots=slots)
    return Turn("other numbers", question, thought, _NUMBERS, direct=True)


def no_picture(rng: random.Random, split: Split) -> Turn:
    """Ask about a picture that is not there."""
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
    wordings, parts = rng.choice(_ABOUT_PICTURES)
    question = phrase(rng, wordings, split, picture=True, slots=slots, parts=parts)
    return Turn("no picture", question, "No picture is attached.", _NO_PICTURE, direct=True)


def unknown(rng: random.Random, split: Split) -> Turn:
    """Ask anything else."""

    def fill(match: re.Match[str]) -> str:
        return rng.choice(SLOTS[match.group(1)])

    wordings = tuple(re.sub(r"\{(\w+)\}", fill, template) for template in GENERAL)
    question = phrase(rng, wordings, split)
    return Turn("unknown", question, "I have not learned anything about this.", _UNKNOWN, direct=True)
