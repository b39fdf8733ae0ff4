"""Lines wrapped to rows of a given width, kept up to date while the last line grows."""

from bisect import bisect_right
from dataclasses import dataclass

from rich.cells import cell_len

from magistral_mlx_tui.text.lines import Line
from magistral_mlx_tui.text.wrap import wrap_rows

_NARROWEST_TEXT = 6
"""Cells that are left for text beside a bullet or a quote bar, at least."""


@dataclass(frozen=True, slots=True)
class Row:
    """Characters `start` to `end` (exclusive) of one line, on one row of the screen."""

    line: Line
    start: int
    end: int

    @property
    def lead(self) -> str:
        """What stands before the row's own text."""
        return self.line.hang if self.start else self.line.lead

    @property
    def text(self) -> str:
        """The row as it reads on the screen."""
        return self.lead + self.line.text[self.start : self.end]


class Layout:
    """All rows of a growing list of lines.

    Kept per line: the offsets at which its rows begin, and the number of its first row. Changing line i costs
    what lies behind line i, so appending costs the same at any length.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.lines: list[Line] = []
        self._row_starts: list[list[int]] = []
        self._first_rows: list[int] = []

    @property
    def height(self) -> int:
        """The number of rows."""
        return self._first_rows[-1] + len(self._row_starts[-1]) if self.lines else 0

    def replace_from(self, index: int, lines: list[Line]) -> int:
        """Put `lines` in the place of all lines from `index` on; returns the first row that changed."""
        lines = [self._fitted(line) for line in lines]
        old = self.lines[index] if index < len(self.lines) else None
        old_starts = self._row_starts[index] if old else []
        self._truncate(index)
        if old and lines and _is_grown(old, lines[0]):
            restyled = old.role != lines[0].role or old.spans != lines[0].spans
            changed = self.height + (0 if restyled else len(old_starts) - 1)
            self._push(lines[0], self._wrap(lines[0], known=old_starts))
            lines = lines[1:]
        else:
            changed = self.height
        for line in lines:
            self._push(line, self._wrap(line, known=[0]))
        return changed

    def rewrap(self, lines: list[Line], width: int) -> None:
        """Wrap `lines` anew for `width` cells."""
        self.width = width
        self.lines, self._row_starts, self._first_rows = [], [], []
        self.replace_from(0, lines)

    def row(self, number: int) -> Row:
        """Row `number` (0 is the first)."""
        index = bisect_right(self._first_rows, number) - 1
        line, starts = self.lines[index], self._row_starts[index]
        within = number - self._first_rows[index]
        end = starts[within + 1] if within + 1 < len(starts) else len(line.text)
        return Row(line, starts[within], end)

    def row_of_line(self, index: int) -> int:
        """The number of the first row of line `index`."""
        return self._first_rows[index]

    def line_of_row(self, number: int) -> int:
        """The index of the line that row `number` belongs to; 0 when there are no rows."""
        return max(0, bisect_right(self._first_rows, number) - 1)

    def _truncate(self, index: int) -> None:
        del self.lines[index:], self._row_starts[index:], self._first_rows[index:]

    def _push(self, line: Line, starts: list[int]) -> None:
        self._first_rows.append(self.height)
        self.lines.append(line)
        self._row_starts.append(starts)

    def _fitted(self, line: Line) -> Line:
        """On a very narrow pane what leads a line is part of its text, so that nothing is cut off."""
        if self.width - max(cell_len(line.lead), cell_len(line.hang)) >= _NARROWEST_TEXT:
            return line
        return Line(line.lead.lstrip() + line.text, line.role)

    def _wrap(self, line: Line, *, known: list[int]) -> list[int]:
        """Rows of `line`, of which all but the last of the `known` ones stay as they are."""
        rest = self.width - cell_len(line.hang)
        first = rest if len(known) > 1 else self.width - cell_len(line.lead)
        return known[:-1] + wrap_rows(line.text, start=known[-1], first_width=first, width=rest)


def _is_grown(old: Line, new: Line) -> bool:
    return old.lead == new.lead and old.hang == new.hang and new.text.startswith(old.text)
