"""Where a query stands in a layout, kept up to date while the text grows."""

import re
from bisect import bisect_left
from dataclasses import dataclass

from magistral_mlx_tui.text.layout.lines import Role, Span
from magistral_mlx_tui.text.layout.rows import Layout, Row


@dataclass(frozen=True, slots=True, order=True)
class Hit:
    """Characters `start` to `end` of line `part` of item `item`."""

    item: int
    part: int
    start: int
    end: int


class Hits:
    """All hits of one query, in the order of the text; one of them may be the current one.

    A query in small letters finds capital ones too.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._pattern: re.Pattern[str] | None = None
        self._hits: list[Hit] = []
        self.current: int | None = None

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._hits)

    @property
    def active(self) -> bool:
        """Whether something is searched for."""
        return self._pattern is not None

    def search(self, query: str) -> None:
        """Find all of `query`; an empty one ends the search."""
        flags = re.IGNORECASE if query == query.lower() else re.NOFLAG
        self._pattern = re.compile(re.escape(query), flags) if query else None
        self.current = None
        self.update(0)

    def update(self, item: int) -> None:
        """The layout changed from `item` on."""
        del self._hits[bisect_left(self._hits, item, key=lambda hit: hit.item) :]
        if self._pattern is None:
            return
        for index in range(item, len(self._layout.items)):
            for part, line in enumerate(self._layout.lines_of(index)):
                self._hits += [Hit(index, part, *match.span()) for match in self._pattern.finditer(line.text)]
        if self.current is not None and self.current >= len(self._hits):
            self.current = len(self._hits) - 1 if self._hits else None

    def go_to(self, number: int) -> int:
        """Make hit `number` the current one; returns its row."""
        self.current = number
        hit = self._hits[number]
        return self._layout.row_of(hit.item, hit.part, hit.start)

    def first_from_row(self, row: int) -> int:
        """The number of the first hit at or below `row`; the number of hits if there is none."""
        place = self._layout.place_of(row)
        return bisect_left(self._hits, place.item, key=lambda hit: hit.item)

    def spans_of(self, row: Row) -> list[Span]:
        """The hits in a row, as spans of its line."""
        if not self._hits:
            return []
        first = bisect_left(self._hits, Hit(row.item, row.part, 0, 0))
        spans: list[Span] = []
        for number in range(first, len(self._hits)):
            hit = self._hits[number]
            if (hit.item, hit.part) != (row.item, row.part) or hit.start >= row.end:
                break
            if hit.end > row.start:
                role: Role = "current_hit" if number == self.current else "hit"
                spans.append(Span(hit.start, hit.end, role))
        return spans
