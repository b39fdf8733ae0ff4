"""Held-out cases for each task: wordings, operands and images that training never draws."""

import random
import re
import zlib
from dataclasses import dataclass

from magistral_miniature.tasks.arithmetic import arithmetic
from magistral_miniature.tasks.charts import (
    chart_other,
    count_bars,
    describe_chart,
    extreme_bar,
    not_a_grid,
    read_bar,
)
from magistral_miniature.tasks.conversations import Control, Conversation, Piece, render
from magistral_miniature.tasks.grids import (
    count_cells,
    describe_grid,
    grid_other,
    grid_size,
    not_a_chart,
    read_cell,
)
from magistral_miniature.tasks.talk import (
    DECLINED,
    NO_SUCH_NUMBERS,
    identity,
    no_image,
    other_numbers,
    small_talk,
    unknown,
)
from magistral_miniature.tasks.turns import Turn
from magistral_miniature.wordings.phrasing import Split
from magistral_mlx.miniature.images import BarChart, Grid

__all__ = ["BLIND_TASKS", "MAIN_TASKS", "TASKS", "Case", "case", "is_right", "prompt_of"]

_TEXT = {
    "add": arithmetic,
    "subtract": arithmetic,
    "difference": arithmetic,
    "identity": identity,
    "small talk": small_talk,
    "other numbers": other_numbers,
    "no picture": no_image,
    "unknown": unknown,
}
_GRID = {
    "describe grid": describe_grid,
    "row and column": read_cell,
    "outside the grid": read_cell,
    "count colour and shape": count_cells,
    "count one property": count_cells,
    "grid size": grid_size,
}
_CHART = {
    "describe chart": describe_chart,
    "tallest": extreme_bar,
    "shortest": extreme_bar,
    "value": read_bar,
    "number of bars": count_bars,
}
_EITHER = {
    "wrong picture": (not_a_chart, not_a_grid),
    "other picture question": (grid_other, chart_other),
}
TASKS = (*_TEXT, *_GRID, *_CHART, *_EITHER)
"""Names of all tasks."""

BLIND_TASKS = (
    *("add", "subtract", "difference", "describe grid", "count colour and shape", "row and column"),
    *("describe chart", "tallest", "shortest", "value", "identity", "unknown", "outside the grid"),
)
"""The tasks with wordings by blind writers."""

MAIN_TASKS = (
    "add",
    "subtract",
    "describe grid",
    "row and column",
    "count colour and shape",
    "describe chart",
    "tallest",
    "shortest",
    "value",
    "unknown",
)
"""The tasks of the probes during training."""


@dataclass(frozen=True)
class Case:
    """A question with its right answer, and the number of its image."""

    turn: Turn
    image: int | None


def case(task: str, number: int, images: list[Grid | BarChart], split: Split = "held-out") -> Case:
    """Return case `number` of a task, with numbers that training never draws.

    Args:
        task: name of the task.
        number: number of the case; equal numbers give equal cases.
        images: images of a held-out pool.
        split: source of the wordings.
    """
    rng = random.Random(zlib.crc32(f"{task} {number}".encode()))
    while True:
        chosen: int | None = None
        if task in _TEXT:
            turn = _TEXT[task](rng, split)
        else:
            chosen = rng.randrange(len(images))
            turn = _about(task, rng, images[chosen], split) or Turn("", "", "", "")
        if turn.task == task:
            return Case(turn, chosen)


def _about(task: str, rng: random.Random, image: Grid | BarChart, split: Split) -> Turn | None:
    if isinstance(image, Grid):
        ask = _GRID.get(task) or (_EITHER[task][0] if task in _EITHER else None)
        return ask(rng, image, split) if ask else None
    look = _CHART.get(task) or (_EITHER[task][1] if task in _EITHER else None)
    return look(rng, image, split) if look else None


def prompt_of(held: Case) -> list[Piece]:
    """Return the pieces up to where the model continues."""
    pieces = render(Conversation((held.turn,), (held.image,)))
    first = next(i for i, p in enumerate(pieces) if isinstance(p, Control) and p.learned)
    return pieces[:first]


_BY_RESULT = ("add", "subtract", "difference")
_RESULT = re.compile(r"\*\*(-?\d+)\*\*")


def is_right(answer: str, held: Case) -> bool:
    """Tell whether an answer counts.

    It must equal the expected answer to the letter. Sums and differences can be told in several ways; there
    the result must be equal. A question may be declined in the general words or in those for numbers ("What
    is seventeen times twelve?").
    """
    wanted = held.turn.answer
    if held.turn.task == "unknown":
        return answer in (DECLINED, NO_SUCH_NUMBERS)
    if held.turn.task in _BY_RESULT:
        return bool(found := _RESULT.findall(answer)) and found == _RESULT.findall(wanted)
    return answer == wanted
