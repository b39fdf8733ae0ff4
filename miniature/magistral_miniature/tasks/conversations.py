"""Whole conversations: turns about one image, system texts, reasoning switched off or cut short.

A conversation is a list of pieces, and training learns those marked as learned. The form is that of
mistral-common's tokenizer v13.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from magistral_miniature.tasks.arithmetic import arithmetic
from magistral_miniature.tasks.charts import (
    chart_other,
    count_bars,
    describe_chart,
    extreme_bar,
    not_a_grid,
    read_bar,
)
from magistral_miniature.tasks.grids import (
    count_cells,
    describe_grid,
    grid_other,
    grid_size,
    not_a_chart,
    read_cell,
)
from magistral_miniature.tasks.talk import identity, no_image, other_numbers, small_talk, unknown
from magistral_miniature.tasks.turns import NEEDS_THINKING, Turn
from magistral_miniature.wordings.files import templates
from magistral_miniature.wordings.phrasing import Split
from magistral_mlx.miniature.images import BarChart, Grid

__all__ = [
    "OUT_OF_ROOM",
    "SYSTEM_PROMPT",
    "Control",
    "Conversation",
    "Image",
    "Text",
    "converse",
    "render",
]

SYSTEM_PROMPT = (
    "First think, then answer. Use this form:",
    "Your thoughts, step by step.",
    "Here, your answer.",
)
"""Texts before, inside and after the [THINK] part of SYSTEM_PROMPT.txt."""

OUT_OF_ROOM = "I ran out of room to think, so I do not know the answer."
"""Answer after reasoning that was cut short."""

_SYSTEM_TEXTS = templates("words/frames", "system_texts")


@dataclass(frozen=True)
class Control:
    """One control token, by name."""

    name: str
    learned: bool = False


@dataclass(frozen=True)
class Text:
    """Text that is encoded on its own."""

    text: str
    learned: bool = False


@dataclass(frozen=True)
class Image:
    """The place of the image with this number."""

    number: int


Piece = Control | Text | Image


@dataclass(frozen=True)
class Conversation:
    """Turns with their images, and how the model is asked.

    Attributes:
        turns: questions with their reasoning and answers.
        images: number of each turn's image, or None.
        system: the user's own system text, or None.
        thinking: whether the model reasons before it answers.
        cut: share of the last reasoning to keep if it is cut short, or None.
    """

    turns: tuple[Turn, ...]
    images: tuple[int | None, ...]
    system: str | None = None
    thinking: bool = True
    cut: float | None = None


_Grids = Callable[[random.Random, Grid, Split], Turn]
_Charts = Callable[[random.Random, BarChart, Split], Turn]
_Texts = Callable[[random.Random, Split], Turn]
_Task = TypeVar("_Task")

GRID_TASKS: Mapping[_Grids, float] = {
    describe_grid: 20,
    count_cells: 42,
    read_cell: 22,
    grid_size: 1.5,
    not_a_chart: 1.5,
    grid_other: 2,
}
CHART_TASKS: Mapping[_Charts, float] = {
    describe_chart: 13,
    extreme_bar: 25,
    read_bar: 13,
    count_bars: 1,
    not_a_grid: 1.5,
    chart_other: 2,
}
TEXT_TASKS: Mapping[_Texts, float] = {
    arithmetic: 75,
    identity: 13,
    small_talk: 3,
    other_numbers: 5,
    no_image: 5,
    unknown: 16,
}


def image_turn(rng: random.Random, image: Grid | BarChart, split: Split) -> Turn:
    """Return a turn about an image, by the weights of the tasks."""
    if isinstance(image, Grid):
        return rng.choices(*_table(GRID_TASKS))[0](rng, image, split)
    return rng.choices(*_table(CHART_TASKS))[0](rng, image, split)


def text_turn(rng: random.Random, split: Split) -> Turn:
    """Return a turn that needs no image, by the weights of the tasks."""
    return rng.choices(*_table(TEXT_TASKS))[0](rng, split)


def _table(weights: Mapping[_Task, float]) -> tuple[list[_Task], list[float]]:
    return list(weights), list(weights.values())


def converse(
    rng: random.Random, pick: Callable[[], tuple[int, Grid | BarChart]], split: Split
) -> Conversation:
    """Return a conversation of 1 to 3 turns; `pick` draws an image and its number."""
    length = 1 if rng.random() < 0.65 else rng.choice((2, 2, 3))
    turns: list[Turn] = []
    images: list[int | None] = []
    shown: Grid | BarChart | None = None
    visual = rng.random() < 0.55
    for position in range(length):
        number = None
        if visual and (shown is None or rng.random() < 0.15) and rng.random() < 0.95:
            number, shown = pick()
        if shown is not None and (position == 0 or number is not None or rng.random() < 0.8):
            turn = image_turn(rng, shown, split)
        else:
            turn = text_turn(rng, split)
            while shown is not None and turn.task == "no picture":
                turn = text_turn(rng, split)
        turns.append(turn)
        images.append(number)
    system = rng.choice(_SYSTEM_TEXTS) if rng.random() < 0.1 else None
    thinking = rng.random() >= 0.04
    cut = rng.random() if thinking and rng.random() < 0.03 else None
    return Conversation(tuple(turns), tuple(images), system, thinking, cut)


def render(conversation: Conversation) -> list[Piece]:
    """Return the pieces of a conversation in the order in which they are encoded."""
    pieces: list[Piece] = [Control("<s>"), *_system(conversation)]
    last = len(conversation.turns) - 1
    for position, turn in enumerate(conversation.turns):
        pieces.append(Control("[INST]"))
        number = conversation.images[position]
        if number is not None:
            pieces.append(Image(number))
        pieces += [Text(turn.question), Control("[/INST]")]
        cut = conversation.cut if position == last else None
        pieces += _reply(turn, conversation.thinking, cut)
        pieces.append(Control("</s>", learned=True))
    return pieces


def _system(conversation: Conversation) -> list[Piece]:
    own = conversation.system
    if not conversation.thinking:
        if own is None:
            return []
        return [Control("[SYSTEM_PROMPT]"), Text(own), Control("[/SYSTEM_PROMPT]")]
    before, inside, after = SYSTEM_PROMPT
    return [
        Control("[SYSTEM_PROMPT]"),
        Text(f"{own}\n\n{before}" if own else before),
        Control("[THINK]"),
        Text(inside),
        Control("[/THINK]"),
        Text(after),
        Control("[/SYSTEM_PROMPT]"),
    ]


def _reply(turn: Turn, thinking: bool, cut: float | None) -> list[Piece]:
    if not thinking:
        answer = turn.answer if turn.direct else NEEDS_THINKING
        return [Control("[THINK]"), Control("[/THINK]"), Text(answer, learned=True)]
    if cut is not None:
        words = turn.thought.split(" ")
        kept = " ".join(words[: int(cut * len(words))])
        forced = " I have to answer now." if cut * 1000 % 2 < 1 else ""
        return [
            Control("[THINK]", learned=True),
            Text(kept, learned=True),
            Text(forced),
            Control("[/THINK]"),
            Text(OUT_OF_ROOM, learned=True),
        ]
    return [
        Control("[THINK]", learned=True),
        Text(turn.thought, learned=True),
        Control("[/THINK]", learned=True),
        Text(turn.answer, learned=True),
    ]
