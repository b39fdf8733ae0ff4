"""Light Markdown, line by line, while it streams: headings, lists, quotes, code, rules, tables, emphasis.

A finished source line is turned into shown lines once; only the last, unfinished line (and an open table) is
laid out again when text arrives, so an append costs the same at any length. What is not certainly markup is
shown as it was written.
"""

import re
from dataclasses import dataclass

from magistral_mlx_tui.text.inline import LONGEST_STYLED, style_inline
from magistral_mlx_tui.text.lines import Line, Role
from magistral_mlx_tui.text.tables import is_separator, lay_out_table, split_cells

_FENCE = re.compile(r"(?P<indent> {0,3})(?P<mark>`{3,}|~{3,})\s*(?P<info>[^`]*)")
_HEADING = re.compile(r" {0,3}(?P<level>#{1,6})\s+(?P<text>.*)", re.DOTALL)
_LIST_ITEM = re.compile(r"(?P<indent>\s*)(?P<mark>[-*+]|\d{1,9}[.)])(?P<gap>\s+)(?P<text>\S.*)", re.DOTALL)
_QUOTE = re.compile(r" {0,3}(?P<marks>>(?:\s?>)*)\s?(?P<text>.*)", re.DOTALL)
_RULE = re.compile(r" {0,3}(?:(?:-\s*){3,}|(?:\*\s*){3,}|(?:_\s*){3,})")

_TAB = "    "
_LONGEST_RULE = 200
_DEEPEST_HANG = 20
_LARGEST_OPEN_TABLE = 6000
"""Characters of source; further rows of a larger table are shown as they were written."""


@dataclass
class _Table:
    """The table that the last finished line belongs to."""

    first_line: int
    """Index in the document's lines."""
    rows: list[str]
    separator: str

    def takes(self, source: str) -> bool:
        return "|" in source and sum(map(len, self.rows)) + len(source) <= _LARGEST_OPEN_TABLE


class MarkdownDocument:
    """Light Markdown as a growing list of lines (see `lines.Document`); text must be sanitised before."""

    def __init__(self, *, width: int) -> None:
        self.lines: list[Line] = []
        self._width = width
        self._sources: list[str] = []
        self._tail = ""
        self._settled = 0
        self._fence: str | None = None
        self._table: _Table | None = None

    def append(self, text: str) -> int:
        """Add text that arrived; returns the index of the first line that changed."""
        *finished, tail = (self._tail + text.replace("\t", _TAB)).split("\n")
        changed = self._settled
        del self.lines[changed:]
        for source in finished:
            changed = min(changed, self._settle(source))
        self._tail = tail
        if tail:
            self.lines += self._preview(tail)
        return changed

    def finish(self) -> int:
        """The unfinished line is complete as it stands."""
        changed = self._settled
        if self._tail:
            del self.lines[changed:]
            changed = min(changed, self._settle(self._tail))
            self._tail = ""
        return changed

    def set_width(self, width: int) -> None:
        """Lay everything out anew for `width` cells."""
        if width != self._width:
            source = "\n".join([*self._sources, self._tail])
            self.lines, self._sources, self._tail = [], [], ""
            self._settled, self._fence, self._table = 0, None, None
            self._width = width
            self.append(source)

    def _settle(self, source: str) -> int:
        """Take a finished source line; returns the first line that changed."""
        changed = len(self.lines)
        if table := self._table_with(source):
            self._table, changed = table, table.first_line
            del self.lines[changed:]
            self.lines += lay_out_table(table.rows, table.separator, width=self._width)
        else:
            self._table = None
            self.lines += self._render(source)
        self._sources.append(source)
        self._settled = len(self.lines)
        return changed

    def _table_with(self, source: str) -> _Table | None:
        """The table that `source` goes on with, or begins by being the dashes under a head."""
        if self._fence is not None or "|" not in source:
            return None
        if self._table is not None:
            table = self._table
            return (
                _Table(table.first_line, [*table.rows, source], table.separator)
                if table.takes(source)
                else None
            )
        head = self._sources[-1] if self._sources else ""
        if "|" in head and is_separator(source) and len(split_cells(head)) == len(split_cells(source)):
            return _Table(len(self.lines) - 1, [head], source)
        return None

    def _preview(self, tail: str) -> list[Line]:
        """The unfinished last line; the state of the document stays as it is."""
        if self._fence is None and len(tail) > LONGEST_STYLED:
            return [Line(tail)]
        fence = self._fence
        lines = self._render(tail)
        self._fence = fence
        return lines

    def _render(self, source: str) -> list[Line]:
        fence = _FENCE.fullmatch(source)
        if self._fence is not None:
            if fence and fence["mark"].startswith(self._fence) and not fence["info"]:
                self._fence = None
                return []
            return [Line(source, "code", lead=" ", hang=" ")]
        if fence:
            self._fence = fence["mark"]
            return [Line(fence["info"].strip(), "fence", lead=" ", hang=" ")]
        return [_render_line(source)]


def _render_line(source: str) -> Line:
    """A line outside of code and tables."""
    if not source.strip():
        return Line("")
    if len(source) <= _LONGEST_RULE and _RULE.fullmatch(source):
        return Line("", "rule")
    if match := _HEADING.fullmatch(source):
        return _styled(match["text"], "heading")
    if match := _LIST_ITEM.fullmatch(source):
        mark = "•" if match["mark"] in "-*+" else match["mark"]
        lead = match["indent"] + mark + " "
        return _styled(match["text"], "text", lead=lead, hang=" " * min(len(lead), _DEEPEST_HANG))
    if match := _QUOTE.fullmatch(source):
        bars = "▎ " * min(match["marks"].count(">"), _DEEPEST_HANG // 2)
        return _styled(match["text"], "quote", lead=bars, hang=bars)
    return _styled(source, "text")


def _styled(source: str, role: Role, *, lead: str = "", hang: str = "") -> Line:
    text, spans = style_inline(source)
    return Line(text, role, spans, lead, hang)
