"""Find the image cell that each word of the reasoning or the answer comes from.

Look-ups by place form slowly if only the next word teaches them. Training therefore teaches one attention
head directly: before a word that comes from a cell, the head must attend to that cell. `marks` finds these
words by the fixed form of reasoning and answers.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from magistral_mlx.miniature.images import BarChart, Grid

__all__ = ["Mark", "marks"]


@dataclass(frozen=True)
class Mark:
    """A token that depends on the image.

    Attributes:
        place: offset of the token in the text; the end of the text means the token after it.
        cell: index of the cell to look at, row by row.
        after: look at the token after the cell instead: another cell, the end of a row or of the image.
    """

    place: int
    cell: int
    after: bool = False


_SIZE = re.compile(
    r"Grid, (\d) rows?, (\d) columns?\.|grid (?:with|of shapes with|has) (\d) rows? and (\d) columns?"
)
_BARS = re.compile(r"Chart, (\d) bars\.|chart (?:with|has) (?:\*\*)?(\d)(?:\*\*)? bars")
_CELL_LINE = re.compile(r"^(\d),(\d)(?: \w+ \w+\?)?( \w+)( \w+)( yes| no)?", re.MULTILINE)
_BAR_LINE = re.compile(r"^(\d)(?: \w\?)?( [A-Z])(?: yes| no)?( [a-z]+)", re.MULTILINE)
_ROW = re.compile(r"row (\d) holds(.*?)[;.]")
_ITEM = re.compile(r"( an?)( \w+)( \w+)")
_BAR_ITEM = re.compile(r"( [A-Z]) is (\d+)")


def marks(text: str, image: Grid | BarChart) -> list[Mark]:
    """Return the tokens that come from the image, in no order."""
    found = _in_chart(text, image) if isinstance(image, BarChart) else _in_grid(text, image)
    return list(found)


def _in_grid(text: str, grid: Grid) -> Iterator[Mark]:
    for match in _SIZE.finditer(text):
        for group in range(1, 5):
            if match[group]:
                yield Mark(match.start(group), grid.rows * grid.columns - 1)
    before: int | None = None
    for match in _CELL_LINE.finditer(text):
        row, column = int(match[1]), int(match[2])
        cell = (row - 1) * grid.columns + column - 1
        if before is not None:
            for place in (match.start() - 1, match.start(1), match.start(2)):
                yield Mark(place, before, after=True)
        for group in (3, 4, 5):
            if match[group]:
                yield Mark(match.start(group), cell)
        before = cell
    if before == grid.rows * grid.columns - 1:
        yield Mark(len(text), before, after=True)
    for match in _ROW.finditer(text):
        for column, item in enumerate(_ITEM.finditer(match[2])):
            cell = (int(match[1]) - 1) * grid.columns + column
            for group in (1, 2, 3):
                yield Mark(match.start(2) + item.start(group), cell)
            yield Mark(match.start(2) + item.end(), cell, after=True)


def _in_chart(text: str, chart: BarChart) -> Iterator[Mark]:
    bars = len(chart.labels)
    axis = 5 * bars
    for match in _BARS.finditer(text):
        yield Mark(match.start(1 if match[1] else 2), axis + bars - 1)
    for match in _BAR_LINE.finditer(text):
        number = int(match[1])
        for group in (2, 3):
            yield Mark(match.start(group), axis + number - 1)
        if number > 1:
            yield Mark(match.start() - 1, axis + number - 2, after=True)
        if number == bars and " best" in text:
            yield Mark(len(text), axis + number - 1, after=True)
    if text.startswith("A bar chart"):
        for column, item in enumerate(_BAR_ITEM.finditer(text)):
            yield Mark(item.start(1), axis + column)
            yield Mark(item.start(2), axis + column)
            yield Mark(item.end(), axis + column, after=True)
