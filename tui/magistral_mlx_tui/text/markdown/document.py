"""Light Markdown, line by line, while it streams: headings, lists, quotes, code, rules, tables, formulas.

A finished source line is turned into what is shown once; only the last, unfinished line and an open formula
or the end of an open table are made again when text arrives, so an append costs the same at any length. What
is not certainly markup is shown as it was written.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from magistral_mlx_tui.text.layout.lines import Item, Line
from magistral_mlx_tui.text.markdown.blocks import FENCE, Styler, line_of
from magistral_mlx_tui.text.markdown.code import Open, highlight, language_of
from magistral_mlx_tui.text.markdown.formulas import OpenFormula, whole_formula
from magistral_mlx_tui.text.markdown.languages import Language
from magistral_mlx_tui.text.markdown.tables import (
    Cell,
    Shape,
    TableRows,
    is_separator,
    read_row,
    shape_of,
    split_cells,
)

_TAB = "    "
_LARGEST_MEASURED_TABLE = 6000
"""Characters of source; what follows in a larger table no longer changes the width of its columns."""
_ROWS_PER_ITEM = 24


@dataclass(frozen=True, slots=True)
class _Fence:
    """Code that is open: what closes it, its language, and what the last line left open."""

    mark: str
    indent: int
    language: Language | None
    opened: Open | None = None


@dataclass(frozen=True, slots=True)
class _Table:
    """The table that the last finished line belongs to."""

    first_item: int
    shape: Shape
    head: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...] = ()
    """All rows while they are measured, later none."""
    size: int = 0


class MarkdownDocument:
    """Light Markdown as growing items (see `lines.Document`); text must be sanitised before."""

    def __init__(self) -> None:
        self._rendered: list[Item] = []
        self._sources: list[Item] = []
        """Every finished source line, and the unfinished one, as it was written."""
        self._tail = ""
        self._settled = 0
        self._shows_source = False
        self._fence: _Fence | None = None
        self._table: _Table | None = None
        self._formula: OpenFormula | None = None
        self._styler = Styler()
        self._last_source = ""

    @property
    def items(self) -> Sequence[Item]:
        """What is shown, or the source."""
        return self._sources if self._shows_source else self._rendered

    def show_source(self, shown: bool) -> None:
        """Let `items` be the text as it was written, or as it is meant to be read."""
        self._shows_source = shown

    def append(self, text: str) -> int:
        """Add text that arrived; returns the index of the first item that changed."""
        *finished, tail = (self._tail + text.replace("\t", _TAB)).split("\n")
        source_changed = max(0, len(self._sources) - 1)
        self._sources[source_changed:] = [Line(source) for source in (*finished, tail)]
        changed = self._settled
        del self._rendered[changed:]
        for source in finished:
            changed = min(changed, self._settle(source))
        self._tail = tail
        if tail:
            self._rendered += self._preview(tail)
        return source_changed if self._shows_source else changed

    def finish(self) -> int:
        """The unfinished line is complete as it stands, and what was open ends here."""
        source_changed = max(0, len(self._sources) - 1)
        changed = self._settled
        if self._tail:
            del self._rendered[changed:]
            changed = min(changed, self._settle(self._tail))
            self._tail = ""
        elif self._sources and self._sources[-1] == Line(""):
            self._sources.pop()
        if self._formula is not None:
            changed = min(changed, self._give_up_formula())
            self._settled = len(self._rendered)
        return source_changed if self._shows_source else changed

    # -- finished lines ----------------------------------------------------------------------------------

    def _settle(self, source: str) -> int:
        """Take a finished source line; returns the first item that changed."""
        changed = len(self._rendered)
        if self._formula is not None and not self._formula.takes(source):
            changed = self._give_up_formula()
        if self._formula is not None:
            changed = self._go_on_with_formula(self._formula, source)
        elif self._fence is not None or FENCE.fullmatch(source):
            self._table = None
            self._rendered += self._code_line(source)
        elif (first := self._settle_table_row(source)) is not None:
            changed = first
        else:
            self._table = None
            self._settle_plain(source)
        self._last_source = source
        self._settled = len(self._rendered)
        self._styler = Styler()
        return changed

    def _settle_plain(self, source: str) -> None:
        if formula := whole_formula(source):
            self._rendered.append(formula)
        elif opened := OpenFormula.begun_by(source):
            self._formula = opened
            self._rendered.append(Line(source, "math"))
        else:
            self._rendered.append(line_of(source, self._styler))

    def _go_on_with_formula(self, opened: OpenFormula, source: str) -> int:
        first = len(self._rendered) - len(opened.lines)
        formula = opened.add(source)
        if formula is None:
            self._rendered.append(Line(source, "math"))
            return len(self._rendered) - 1
        self._formula = None
        self._rendered[first:] = [formula]
        return first

    def _give_up_formula(self) -> int:
        """It was none: its lines are read as any others."""
        opened, self._formula = self._formula, None
        lines = opened.lines if opened else []
        first = len(self._rendered) - len(lines)
        self._rendered[first:] = [line_of(line, Styler()) for line in lines]
        return first

    def _code_line(self, source: str) -> list[Item]:
        """A line in a fence, or one that opens or closes it."""
        match, fence = FENCE.fullmatch(source), self._fence
        if fence is None:
            if match is None:
                return []
            info = match["info"].strip()
            self._fence = _Fence(match["mark"], len(match["indent"]), language_of(info))
            return [Line(info, "fence", lead=" ", hang=" ")]
        if match and match["mark"].startswith(fence.mark) and not match["info"]:
            self._fence = None
            return []
        indent = min(fence.indent, len(source) - len(source.lstrip(" ")))
        shown = source[indent:]
        spans, opened = highlight(shown, fence.language, fence.opened)
        self._fence = _Fence(fence.mark, fence.indent, fence.language, opened)
        return [Line(shown, "code", spans, lead=" ", hang=" ")]

    # -- tables ------------------------------------------------------------------------------------------

    def _settle_table_row(self, source: str) -> int | None:
        """Take a row of a table, or the dashes that make one of the line before; None if it is neither."""
        if "|" not in source:
            return None
        if self._table is not None:
            return self._add_row(self._table, source)
        before = self._last_source
        if not (self._rendered and "|" in before and is_separator(source)):
            return None
        if len(split_cells(before)) != len(split_cells(source)) or not isinstance(self._rendered[-1], Line):
            return None
        head = read_row(before)
        shape = shape_of(head, source)
        first = len(self._rendered) - 1
        self._table = _Table(first, shape, head, size=len(before) + len(source))
        self._rendered[first:] = [TableRows(shape, (), head, head=True)]
        return first

    def _add_row(self, table: _Table, source: str) -> int:
        measured = table.size + len(source) <= _LARGEST_MEASURED_TABLE
        row = read_row(source, most=None if measured else len(table.shape.natural))
        shape = table.shape.with_row(row) if measured else table.shape
        rows = (*table.rows, row) if measured else ()
        self._table = _Table(table.first_item, shape, table.head, rows, table.size + len(source))
        if shape is not table.shape:  # wider columns: all of it anew
            self._rendered[table.first_item :] = _grouped(shape, rows, table.head)
            return table.first_item
        last = len(self._rendered) - 1
        self._rendered[last:] = self._with_row(row)
        return last

    def _with_row(self, row: tuple[Cell, ...]) -> list[Item]:
        """The last item of the table with one row more, or another one after it."""
        last = self._rendered[-1]
        if not isinstance(last, TableRows):
            return [last]
        if len(last.rows) < _ROWS_PER_ITEM:
            return [TableRows(last.shape, (*last.rows, row), last.names, last.head)]
        return [last, TableRows(last.shape, (row,), last.names)]

    # -- the unfinished line -----------------------------------------------------------------------------

    def _preview(self, tail: str) -> list[Item]:
        """The unfinished last line; the state of the document stays as it is."""
        if self._formula is not None:
            return [Line(tail, "math")]
        if self._fence is not None or FENCE.fullmatch(tail):
            fence = self._fence
            items = self._code_line(tail)
            self._fence = fence
            return items
        if self._table is not None and "|" in tail:
            table = self._table
            return [TableRows(table.shape, (read_row(tail, most=len(table.shape.natural)),), table.head)]
        return [line_of(tail, self._styler)]


def _grouped(shape: Shape, rows: Sequence[tuple[Cell, ...]], names: tuple[Cell, ...]) -> list[Item]:
    """A whole table as items, the first one with the head."""
    starts = range(0, max(1, len(rows)), _ROWS_PER_ITEM)
    return [
        TableRows(shape, tuple(rows[start : start + _ROWS_PER_ITEM]), names, head=start == 0)
        for start in starts
    ]
