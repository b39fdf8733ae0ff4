"""The questions of the demo: one of each kind, drawn at random, each with its own way to check the answer.

A check looks for the facts in the words of an answer, in whatever sentence they stand: the numbers, the
coloured shapes or the bar it names must be exactly the ones that were drawn.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from magistral_mlx.miniature.images import (
    COLOURS,
    SHAPES,
    BarChart,
    Cell,
    Grid,
    random_chart,
    random_grid,
)

EMPTY = "empty"
_CELL = re.compile(rf"\b({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})(?:e?s)?\b|\b({EMPTY})\b")


@dataclass(frozen=True)
class DemoQuestion:
    """One question, what it is about, and what is true."""

    title: str
    text: str
    truth: str
    """The right answer in words, for people."""
    is_right: Callable[[str], bool]
    """Whether an answer of the model says it."""
    image: Grid | BarChart | None = None


def draw_questions(rng: random.Random) -> tuple[DemoQuestion, ...]:
    """One question of each kind that the miniature is trained for; equal generators give equal questions."""
    grid = random_grid(rng, rows=rng.randint(2, 4), columns=rng.randint(2, 4), empty=0.2)
    while not _shapes(grid):
        grid = random_grid(rng, rows=grid.rows, columns=grid.columns, empty=0.2)
    chart = random_chart(rng)
    return (
        _sum(rng),
        _difference(rng),
        _description(grid),
        _count(rng, grid),
        _place(rng, grid),
        _tallest(chart),
        _value(rng, chart),
        _identity(),
        _out_of_scope(),
    )


def numbers_in(answer: str) -> list[int]:
    """The whole numbers in an answer, in order."""
    return [int(digits) for digits in re.findall(r"(?<![\w.])-?\d+(?![\w])", _plain(answer))]


def cells_in(answer: str) -> list[str]:
    """The cells that an answer names, in order: "red circle" or "empty"."""
    return [f"{m[1]} {m[2]}" if m[1] else EMPTY for m in _CELL.finditer(_plain(answer).lower())]


def bars_in(answer: str, chart: BarChart) -> set[str]:
    """The bars of `chart` that an answer names by their letters."""
    return set(re.findall(r"\b[A-Z]\b", _plain(answer))) & set(chart.labels)


def _plain(answer: str) -> str:
    return answer.replace("*", "").replace("\N{MINUS SIGN}", "-")


def _shapes(grid: Grid) -> list[Cell]:
    return [cell for row in grid.cells for cell in row if cell]


def _name(cell: Cell | None) -> str:
    return f"{cell.colour} {cell.shape}" if cell else EMPTY


def _ends_with_number(truth: int) -> Callable[[str], bool]:
    return lambda answer: numbers_in(answer)[-1:] == [truth]


def _sum(rng: random.Random) -> DemoQuestion:
    left, right = rng.randint(100, 999), rng.randint(100, 999)
    truth = left + right
    return DemoQuestion("A sum", f"What is {left} + {right}?", str(truth), _ends_with_number(truth))


def _difference(rng: random.Random) -> DemoQuestion:
    right, left = sorted((rng.randint(100, 999), rng.randint(100, 999)))
    truth = left - right
    return DemoQuestion("A difference", f"What is {left} - {right}?", str(truth), _ends_with_number(truth))


def _description(grid: Grid) -> DemoQuestion:
    cells = [_name(cell) for row in grid.cells for cell in row]
    truth = "; ".join(", ".join(map(_name, row)) for row in grid.cells)
    return DemoQuestion(
        "Alt text for a picture",
        "Describe this picture.",
        truth,
        lambda answer: cells_in(answer) == cells,
        grid,
    )


def _count(rng: random.Random, grid: Grid) -> DemoQuestion:
    wanted = rng.choice(_shapes(grid))
    truth = _shapes(grid).count(wanted)
    return DemoQuestion(
        "Counting",
        f"How many {_name(wanted)}{'es' if wanted.shape == 'cross' else 's'} are in the picture?",
        str(truth),
        lambda answer: numbers_in(answer) == [truth],
        grid,
    )


def _place(rng: random.Random, grid: Grid) -> DemoQuestion:
    row, column = rng.randint(1, grid.rows), rng.randint(1, grid.columns)
    truth = _name(grid.cells[row - 1][column - 1])
    return DemoQuestion(
        "Looking at one place",
        f"What is at row {row}, column {column}?",
        truth,
        lambda answer: cells_in(answer) == [truth],
        grid,
    )


def _tallest(chart: BarChart) -> DemoQuestion:
    truth = chart.labels[chart.values.index(max(chart.values))]
    return DemoQuestion(
        "The tallest bar",
        "Which bar is the tallest?",
        truth,
        lambda answer: bars_in(answer, chart) == {truth},
        chart,
    )


def _value(rng: random.Random, chart: BarChart) -> DemoQuestion:
    label, truth = rng.choice(tuple(zip(chart.labels, chart.values, strict=True)))
    return DemoQuestion(
        "The value of a bar",
        f"What is the value of bar {label}?",
        str(truth),
        lambda answer: numbers_in(answer) == [truth],
        chart,
    )


def _identity() -> DemoQuestion:
    return DemoQuestion("Who is it?", "What are you?", "a miniature", _says_it_is_a_miniature)


def _out_of_scope() -> DemoQuestion:
    return DemoQuestion(
        "Something it cannot know",
        "Who wrote Faust?",
        "that it is only a miniature and cannot answer",
        _says_it_is_a_miniature,
    )


def _says_it_is_a_miniature(answer: str) -> bool:
    return "miniature" in answer.lower()
