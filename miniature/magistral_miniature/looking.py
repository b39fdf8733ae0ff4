"""Where to look: which cell of the picture each word of a thought or an answer is read from.

Look-ups by place form slowly when only the next word teaches them. While training, one attention
head is therefore taught directly: before a word that is read from the picture it must attend to
that cell. `marks` finds those words by the fixed form of thoughts and answers.
"""

import re
from collections.abc import Iterator

from magistral_mlx.miniature.pictures import BarChart, Grid

__all__ = ["marks"]

_SIZE = re.compile(
    r"Grid, (\d) rows?, (\d) columns?\.|grid (?:with|of shapes with|has) (\d) rows? and (\d) columns?"
)
_BARS = re.compile(r"Chart, (\d) bars\.|chart (?:with|has) (?:\*\*)?(\d)(?:\*\*)? bars")
_CELL_LINE = re.compile(r"^(\d),(\d)(?: \w+ \w+\?)?( \w+)( \w+)", re.MULTILINE)
_BAR_LINE = re.compile(r"^(\d)(?: \w\?)?( [A-Z])(?: yes| no)?( [a-z]+)", re.MULTILINE)
_ROW = re.compile(r"row (\d) holds(.*?)[;.]")
_ITEM = re.compile(r"( an?)( \w+)( \w+)")
_BAR_ITEM = re.compile(r"( [A-Z]) is (\d+)")


def marks(text: str, picture: Grid | BarChart) -> list[tuple[int, int]]:
    """Return (start of the token in the text, index of the cell), in order of the text."""
    found = _in_chart(text, picture) if isinstance(picture, BarChart) else _in_grid(text, picture)
    return sorted(set(found))


def _in_grid(text: str, grid: Grid) -> Iterator[tuple[int, int]]:
    for match in _SIZE.finditer(text):
        for group in range(1, 5):
            if match[group]:
                yield match.start(group), grid.rows * grid.columns - 1
    for match in _CELL_LINE.finditer(text):
        row, column = int(match[1]), int(match[2])
        for group in (3, 4):
            yield match.start(group), (row - 1) * grid.columns + column - 1
    for match in _ROW.finditer(text):
        for column, item in enumerate(_ITEM.finditer(match[2])):
            for group in (1, 2, 3):
                cell = (int(match[1]) - 1) * grid.columns + column
                yield match.start(2) + item.start(group), cell


def _in_chart(text: str, chart: BarChart) -> Iterator[tuple[int, int]]:
    bars = len(chart.labels)
    axis = 5 * bars
    for match in _BARS.finditer(text):
        yield match.start(1 if match[1] else 2), axis + bars - 1
    for match in _BAR_LINE.finditer(text):
        for group in (2, 3):
            yield match.start(group), axis + int(match[1]) - 1
    if text.startswith("A bar chart"):
        for column, item in enumerate(_BAR_ITEM.finditer(text)):
            yield item.start(1), axis + column
            yield item.start(2), axis + column
