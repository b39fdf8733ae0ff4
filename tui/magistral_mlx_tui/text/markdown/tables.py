"""Markdown tables as aligned text: measured once, laid out for the width when they are looked at."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, zip_longest

from rich.cells import cell_len

from magistral_mlx_tui.text.layout.lines import Line, Role, Span
from magistral_mlx_tui.text.layout.wrap import wrap_rows
from magistral_mlx_tui.text.markdown.inline import style_inline

_SEPARATOR_CELL = re.compile(r"\s*:?-+:?\s*")
_NARROWEST_COLUMN = 6
_GAP = " │ "

Cell = tuple[str, tuple[Span, ...]]
"""What a cell shows, and the roles of its parts."""
_EMPTY: Cell = ("", ())


@dataclass(frozen=True, slots=True)
class Shape:
    """How wide each column would like to be, in cells, and which ones are aligned to the right."""

    natural: tuple[int, ...]
    right: tuple[bool, ...]

    def with_row(self, row: Sequence[Cell]) -> "Shape":
        """The shape that holds `row` too; the same object if it is large enough."""
        missing = len(row) - len(self.natural)
        if missing <= 0 and all(
            cell_len(cell[0]) <= room for cell, room in zip(row, self.natural, strict=False)
        ):
            return self
        wanted = [cell_len(cell[0]) for cell in row]
        natural = tuple(max(pair) for pair in zip_longest(self.natural, wanted, fillvalue=0))
        return Shape(natural, self.right + (False,) * max(0, missing))


@dataclass(frozen=True, slots=True)
class TableRows:
    """Some rows of a table, in the shape of all of it; `head` is drawn above them if it is given."""

    shape: Shape
    rows: tuple[tuple[Cell, ...], ...]
    names: tuple[Cell, ...]
    """The cells of the table's head."""
    head: bool = False

    @property
    def rows_expected(self) -> int:
        """One row each, as in a table that fits."""
        return len(self.rows) + 2 * self.head

    def lay_out(self, width: int) -> list[Line]:
        """Columns that do not fit are narrowed and their cells wrapped.

        When even that cannot be, each row becomes a list of "head: cell".
        """
        widths = fit_columns(self.shape.natural, width)
        if widths is None:
            return self._as_records()
        lines: list[Line] = []
        if self.head:
            lines = _row_lines(self.names, widths, self.shape.right, "table_head")
            lines.append(Line("─┼─".join("─" * cells for cells in widths), "marker"))
        for row in self.rows:
            lines += _row_lines(row, widths, self.shape.right, "table")
        return lines

    def _as_records(self) -> list[Line]:
        names = [name for name, _spans in self.names]
        lines = [Line(" / ".join(names), "table_head")] if self.head else []
        for row in self.rows:
            lines.append(Line("", "rule"))
            named = [*names, *[""] * (len(row) - len(names))]
            for name, (cell, _spans) in zip(named, [*row, *[_EMPTY] * (len(named) - len(row))], strict=True):
                text = f"{name}: {cell}" if name else cell
                lines.append(Line(text, "table", (Span(0, len(name), "bold"),) if name else (), hang="  "))
        return lines


def split_cells(source: str) -> list[str]:
    r"""The cells of one source line, outer bars removed; a bar after `\` or in `code` does not split."""
    body = source.strip()
    body = body[1:] if body.startswith("|") else body
    body = body[:-1] if body.endswith("|") and not body.endswith(r"\|") else body
    cells: list[str] = []
    start, in_code, escaped = 0, False, False
    for index, character in enumerate(body):
        if character == "|" and not in_code and not escaped:
            cells.append(body[start:index].strip())
            start = index + 1
        in_code ^= character == "`"
        escaped = character == "\\"
    return [*cells, body[start:].strip()]


def is_separator(source: str) -> bool:
    """Whether `source` is the line of dashes under a table's head."""
    return "-" in source and "|" in source and all(map(_SEPARATOR_CELL.fullmatch, split_cells(source)))


def read_row(source: str, *, most: int | None = None) -> tuple[Cell, ...]:
    """The cells of a source line, styled; those beyond `most` are joined to the last one."""
    cells = split_cells(source)
    if most is not None and len(cells) > most:
        cells = [*cells[: most - 1], " | ".join(cells[most - 1 :])]
    return tuple(map(style_inline, cells))


def shape_of(head: Sequence[Cell], separator: str) -> Shape:
    """The shape of a table that has nothing but its head so far."""
    marks = [mark.strip() for mark in split_cells(separator)]
    right = [mark.endswith(":") and not mark.startswith(":") for mark in marks[: len(head)]]
    right += [False] * (len(head) - len(right))
    return Shape(tuple(cell_len(text) for text, _spans in head), tuple(right))


@lru_cache(maxsize=256)
def fit_columns(natural: tuple[int, ...], width: int) -> tuple[int, ...] | None:
    """Column widths that fit, the widest columns giving way first; None if they cannot."""
    room = width - len(_GAP) * (len(natural) - 1)
    if room < sum(min(_NARROWEST_COLUMN, max(1, cells)) for cells in natural):
        return None
    widths = list(natural)
    while sum(widths) > room:
        widest = max(widths)
        second = max([cells for cells in widths if cells < widest], default=0)
        columns = [index for index, cells in enumerate(widths) if cells == widest]
        excess = sum(widths) - room
        target = max(second, widest - -(-excess // len(columns)), _NARROWEST_COLUMN)
        for index in columns:
            widths[index] = target if target < widest else widest - 1
    return tuple(max(1, cells) for cells in widths)


def _row_lines(row: Sequence[Cell], widths: Sequence[int], right: Sequence[bool], role: Role) -> list[Line]:
    """The lines of one row of a table: as many as its highest cell has."""
    padded = [*row, *[_EMPTY] * (len(widths) - len(row))]
    columns = [_cut(cell, cells) for cell, cells in zip(padded, widths, strict=True)]
    lines: list[Line] = []
    for parts in zip_longest(*columns, fillvalue=_EMPTY):
        text, spans = "", list[Span]()
        for column, ((part, own), cells, side) in enumerate(zip(parts, widths, right, strict=True)):
            if column:
                spans.append(Span(len(text) + 1, len(text) + 2, "marker"))
                text += _GAP
            gap = " " * max(0, cells - cell_len(part))
            start = len(text) + (len(gap) if side else 0)
            spans += [Span(span.start + start, span.end + start, span.role) for span in own]
            text += gap + part if side else part + gap
        lines.append(Line(text, role, tuple(spans)))
    return lines


def _cut(cell: Cell, width: int) -> list[Cell]:
    text, spans = cell
    if cell_len(text) <= width:
        return [cell]
    starts = [*wrap_rows(text, start=0, first_width=width, width=width), len(text)]
    pieces: list[Cell] = []
    for start, end in pairwise(starts):
        own = [
            Span(max(span.start, start) - start, min(span.end, end) - start, span.role)
            for span in spans
            if span.start < end and span.end > start
        ]
        shown = text[start:end].rstrip(" ")
        pieces.append((shown, tuple(Span(span.start, min(span.end, len(shown)), span.role) for span in own)))
    return pieces
