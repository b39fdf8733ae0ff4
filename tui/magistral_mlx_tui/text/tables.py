"""Markdown tables as aligned text on a given width."""

import re
from collections.abc import Sequence
from itertools import zip_longest

from rich.cells import cell_len

from magistral_mlx_tui.text.inline import style_inline
from magistral_mlx_tui.text.lines import Line, Span
from magistral_mlx_tui.text.wrap import cut_rows, pad_cells

_SEPARATOR_CELL = re.compile(r"\s*:?-+:?\s*")
_NARROWEST_COLUMN = 6
_GAP = " │ "


def split_cells(source: str) -> list[str]:
    r"""The cells of one source line, outer bars removed; a bar after `\` or in `code` does not split."""
    body = source.strip()
    body = body[1:] if body.startswith("|") else body
    body = body[:-1] if body.endswith("|") and not body.endswith(r"\|") else body
    cells: list[str] = []
    current, in_code = "", False
    for index, character in enumerate(body):
        if character == "|" and not in_code and not body[:index].endswith("\\"):
            cells.append(current.strip())
            current = ""
            continue
        in_code ^= character == "`"
        current += character
    return [*cells, current.strip()]


def is_separator(source: str) -> bool:
    """Whether `source` is the line of dashes under a table's head."""
    return "-" in source and "|" in source and all(map(_SEPARATOR_CELL.fullmatch, split_cells(source)))


def lay_out_table(rows: Sequence[str], separator: str, *, width: int) -> list[Line]:
    """The lines of a table: source lines `rows` (the head first) and its `separator`, on `width` cells.

    Columns that do not fit are narrowed and their cells wrapped; when even that cannot be, each row becomes
    a list of "head: cell".
    """
    cells = [[style_inline(cell)[0] for cell in split_cells(row)] for row in rows]
    count = max(map(len, cells))
    cells = [row + [""] * (count - len(row)) for row in cells]
    widths = _fit([max(cell_len(row[column]) for row in cells) for column in range(count)], width)
    if widths is None:
        return _as_records(cells)
    right = [
        mark.strip().endswith(":") and not mark.strip().startswith(":") for mark in split_cells(separator)
    ]
    right += [False] * (count - len(right))
    lines = _table_row(cells[0], widths, right, head=True)
    lines.append(Line("─┼─".join("─" * cells_wide for cells_wide in widths), "marker"))
    for row in cells[1:]:
        lines += _table_row(row, widths, right, head=False)
    return lines


def _fit(natural: list[int], width: int) -> list[int] | None:
    """Column widths that fit, the widest columns giving way first; None if they cannot."""
    room = width - len(_GAP) * (len(natural) - 1)
    if room < sum(min(_NARROWEST_COLUMN, cells) for cells in natural):
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
    return [max(1, cells) for cells in widths]


def _table_row(row: list[str], widths: list[int], right: list[bool], *, head: bool) -> list[Line]:
    columns = [cut_rows(cell, cells) for cell, cells in zip(row, widths, strict=True)]
    lines: list[Line] = []
    for parts in zip_longest(*columns, fillvalue=""):
        padded = [
            pad_cells(part, cells, right=side)
            for part, cells, side in zip(parts, widths, right, strict=False)
        ]
        text = _GAP.join(padded)
        bars = [index for index, character in enumerate(text) if character == "│"]
        spans = tuple(Span(index, index + 1, "marker") for index in bars)
        lines.append(Line(text, "table_head" if head else "table", spans))
    return lines


def _as_records(cells: list[list[str]]) -> list[Line]:
    head, *rows = cells
    lines = [Line(" / ".join(head), "table_head")]
    for row in rows:
        lines.append(Line("", "rule"))
        for name, cell in zip(head, row, strict=True):
            text = f"{name}: {cell}" if name else cell
            lines.append(Line(text, "table", (Span(0, len(name), "bold"),) if name else (), hang="  "))
    return lines
