"""Questions about a grid of shapes.

The reasoning reads cells one after another. Each line starts with the place of a cell and repeats the
target beside the content. A step therefore searches nothing: it copies from a fixed distance and compares
neighbours.
"""

import random
import re

from magistral_miniature.tasks.turns import Turn
from magistral_miniature.wordings.phrasing import BLIND, Split, phrase
from magistral_miniature.wordings.questions import QUESTIONS
from magistral_miniature.wordings.words import NUMBERS, ORDINALS, article, count_of, listed, plural
from magistral_mlx.miniature.images import COLOURS, LETTERS, SHAPES, Cell, Grid

__all__ = [
    "CANNOT_READ",
    "count_cells",
    "describe_grid",
    "grid_other",
    "grid_size",
    "not_a_chart",
    "read_cell",
    "sentence",
]

CANNOT_READ = (
    "I am only a miniature: I can describe this picture, count its shapes, read a cell or read "
    "bars, but I cannot answer that."
)


def _opening(grid: Grid) -> str:
    return f"Grid, {count_of(grid.rows, 'row')}, {count_of(grid.columns, 'column')}."


def _name(cell: Cell | None) -> str:
    return f"{cell.colour} {cell.shape}" if cell else "empty cell"


def sentence(grid: Grid) -> str:
    """Return the alt text of a grid: one sentence, row by row."""
    rows = [
        f"row {number} holds " + listed([f"{article(_name(cell))} {_name(cell)}" for cell in cells])
        for number, cells in enumerate(grid.cells, start=1)
    ]
    size = f"{count_of(grid.rows, 'row')} and {count_of(grid.columns, 'column')}"
    return f"A grid with {size}: {'; '.join(rows)}."


def describe_grid(rng: random.Random, grid: Grid, split: Split) -> Turn:
    """Ask for the alt text of a grid."""
    general = rng.random() < 0.75 or split in BLIND
    question = phrase(rng, QUESTIONS["describe" if general else "describe grid"], split)
    thought = f"{_opening(grid)} Read it row by row."
    return Turn("describe grid", question, thought, sentence(grid), direct=True)


def _target(rng: random.Random, grid: Grid) -> tuple[str, str]:
    """Choose a target to count, as (colour or "any", shape or "shape"); mostly something that is there."""
    present = [cell for row in grid.cells for cell in row if cell]
    colour, shape = rng.choice(tuple(COLOURS)), rng.choice(SHAPES)
    if present and rng.random() < 0.75:
        cell = rng.choice(present)
        colour, shape = cell.colour, cell.shape
        if rng.random() < 0.15:
            shape = rng.choice(SHAPES)
    kind = rng.random()
    if kind < 0.08:
        return colour, "shape"
    if kind < 0.16:
        return "any", shape
    return (colour, shape) if kind < 0.97 else ("any", "shape")


def count_cells(rng: random.Random, grid: Grid, split: Split) -> Turn:
    """Ask how many cells hold a colour and shape, a colour, a shape, or anything."""
    colour, shape = _target(rng, grid)
    thing = shape if colour == "any" else f"{colour} {shape}"
    lines = [f"Look for {colour} {shape}. {_opening(grid)}"]
    count = 0
    for row, cells in enumerate(grid.cells, start=1):
        for column, cell in enumerate(cells, start=1):
            match = bool(cell) and _matches(cell, colour, shape)
            count += match
            verdict = "yes" if match else "no"
            lines.append(f"{row},{column} {colour} {shape}? {_name(cell)} {verdict} {count}")
    verb = "is" if count == 1 else "are"
    answer = f"There {verb} **{count}** {thing if count == 1 else plural(thing)} in the picture."
    slots: dict[str, object] = {"thing": thing, "things": plural(thing)}
    question = phrase(rng, QUESTIONS["count"], split, slots)
    exact = colour != "any" and shape != "shape"
    task = "count colour and shape" if exact else "count one property"
    return Turn(task, question, "\n".join(lines), answer)


def _matches(cell: Cell | None, colour: str, shape: str) -> bool:
    return cell is not None and colour in ("any", cell.colour) and shape in ("shape", cell.shape)


def _ordinal(rng: random.Random, number: int) -> str:
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number, "th")
    return ORDINALS[number - 1] if rng.random() < 0.8 else f"{number}{suffix}"


def _cardinal(rng: random.Random, number: int) -> str:
    return NUMBERS[number] if rng.random() < 0.12 else str(number)


_STUCK = re.compile(rf"(?<![a-z])([rc])({'|'.join(NUMBERS[1:8])})", re.IGNORECASE)


def _apart(question: str) -> str:
    """Write digits where a word would stick to a letter: "r2 c3"."""
    return _STUCK.sub(lambda match: f"{match[1]}{NUMBERS.index(match[2].lower())}", question)


def read_cell(rng: random.Random, grid: Grid, split: Split) -> Turn:
    """Ask what is at a row and a column, at times outside of the grid."""
    row, column = rng.randint(1, grid.rows), rng.randint(1, grid.columns)
    if rng.random() < 0.3:
        row, column = rng.randint(1, 7), rng.randint(1, 7)
    slots: dict[str, object] = {
        "r": _cardinal(rng, row),
        "c": _cardinal(rng, column),
        "rth": _ordinal(rng, row),
        "cth": _ordinal(rng, column),
    }
    question = _apart(phrase(rng, QUESTIONS["cell"], split, slots))
    thought, answer = _cell_answer(grid, row, column)
    task = "row and column" if row <= grid.rows and column <= grid.columns else "outside the grid"
    return Turn(task, question, thought, answer, direct=True)


def _cell_answer(grid: Grid, row: int, column: int) -> tuple[str, str]:
    place = f"Row {row}, column {column}"
    thought = f"{place}. {_opening(grid)}"
    if row > grid.rows or column > grid.columns:
        missing = f"row {row}" if row > grid.rows else f"column {column}"
        size = f"{count_of(grid.rows, 'row')} and {count_of(grid.columns, 'column')}"
        return f"{thought} No {missing}.", f"There is no {missing}: the grid has {size}."
    cells = grid.cells[row - 1][:column]
    lines = [f"{row},{number} {_name(cell)}" for number, cell in enumerate(cells, start=1)]
    cell = cells[-1]
    answer = f"{place} holds {article(_name(cell))} **{_name(cell)}**." if cell else ""
    return "\n".join([f"{thought} Inside.", *lines]), answer or f"{place} is **empty**."


def grid_size(rng: random.Random, grid: Grid, split: Split) -> Turn:
    """Ask for the number of rows and columns."""
    answer = f"The grid has {count_of(grid.rows, 'row')} and {count_of(grid.columns, 'column')}."
    question = phrase(rng, QUESTIONS["size"], split)
    return Turn("grid size", question, _opening(grid), answer, direct=True)


def not_a_chart(rng: random.Random, grid: Grid, split: Split) -> Turn:
    """Ask about bars although the image is a grid."""
    kind = rng.choice(("value", "value", "tallest", "shortest"))
    question = phrase(rng, QUESTIONS[kind], split, {"x": rng.choice(LETTERS)})
    size = f"{count_of(grid.rows, 'row')} and {count_of(grid.columns, 'column')}"
    answer = f"This picture is not a bar chart: it is a grid of shapes with {size}."
    return Turn("wrong picture", question, f"{_opening(grid)} No bars.", answer, direct=True)


def grid_other(rng: random.Random, grid: Grid, split: Split) -> Turn:
    """Ask something about the image that the miniature has not learned."""
    question = phrase(rng, QUESTIONS["other"], split)
    thought = f"{_opening(grid)} I have not learned to answer this."
    return Turn("other picture question", question, thought, CANNOT_READ, direct=True)
