"""Items wrapped to rows of a given width, kept up to date while the last item grows.

Appending wraps the last row again and nothing else. After a change of the width only what is looked at is
wrapped at once; the rest has estimated heights until `settle` comes to it, a slice of time after the other.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from time import perf_counter

from rich.cells import cell_len

from magistral_mlx_tui.text.layout.lines import Item, Line, Span
from magistral_mlx_tui.text.layout.wrap import wrap_rows

_NARROWEST_TEXT = 6
"""Cells that are left for text beside a bullet or a quote bar, at least."""


@dataclass(frozen=True, slots=True)
class Row:
    """Characters `start` to `end` (exclusive) of one line, on one row of the screen."""

    line: Line
    start: int
    end: int
    item: int = 0
    """The index of the item that the line belongs to, and of the line in it."""
    part: int = 0

    @property
    def lead(self) -> str:
        """What stands before the row's own text."""
        return self.line.hang if self.start else self.line.lead

    @property
    def text(self) -> str:
        """The row as it reads on the screen."""
        return self.lead + self.line.text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class Place:
    """A row by what stands in it, which outlives a change of the width."""

    item: int
    row: int
    """Rows below the first one of the item."""


@dataclass(frozen=True, slots=True)
class _Laid:
    """The lines of an item and the offsets at which the rows of each begin."""

    lines: Sequence[Line]
    starts: Sequence[list[int]]

    @property
    def height(self) -> int:
        return sum(map(len, self.starts))

    def row(self, number: int, item: int) -> Row:
        for part, (line, starts) in enumerate(zip(self.lines, self.starts, strict=True)):
            if number < len(starts):
                end = starts[number + 1] if number + 1 < len(starts) else len(line.text)
                return Row(line, starts[number], end, item, part)
            number -= len(starts)
        raise IndexError(number)


class Layout:
    """All rows of a growing list of items.

    Args:
        width: cells of a row.
        now: seconds that only grow.
    """

    def __init__(self, width: int, *, now: Callable[[], float] = perf_counter) -> None:
        self.width = width
        self.items: list[Item] = []
        self._now = now
        self._laid: list[_Laid | None] = []
        self._heights: list[int] = []
        self._firsts: list[int] = []
        self._unsettled = 0
        """All items from this one on are laid out."""

    @property
    def height(self) -> int:
        """The number of rows; an estimate until all is settled."""
        return self._firsts[-1] + self._heights[-1] if self.items else 0

    @property
    def settled(self) -> bool:
        """Whether every item is laid out for the width."""
        return self._unsettled == 0

    def replace_from(self, index: int, items: Sequence[Item]) -> int:
        """Put `items` in the place of all items from `index` on; returns the first row that changed."""
        old, known = (self.items[index], self._laid[index]) if index < len(self.items) else (None, None)
        del self.items[index:], self._laid[index:], self._heights[index:], self._firsts[index:]
        self._unsettled = min(self._unsettled, index)
        changed, items = self.height, list(items)
        if items and known and isinstance(old, Line) and isinstance(items[0], Line):
            laid, row = self._lay_grown(known, items[0])
            changed += row
            self._push(items.pop(0), laid)
        for item in items:
            self._push(item, self._lay(item))
        return changed

    def set_width(self, width: int) -> None:
        """Lay everything out for `width` cells, later."""
        self.width = width
        self._laid = [None] * len(self.items)
        self._heights = [self._estimate(item) for item in self.items]
        self._unsettled = len(self.items)
        self._add_up()

    def reset(self, items: Sequence[Item]) -> None:
        """Put other items in the place of all of them, to be laid out later."""
        self.items = list(items)
        self.set_width(self.width)

    def settle(self, seconds: float | None = None) -> bool:
        """Lay out for `seconds` what is not yet, from the end up; without a limit, all of it.

        Row numbers shift meanwhile: a `Place` outlives that. Returns whether there is nothing left to do.
        """
        started = self._now()
        while self._unsettled > 0:
            self._unsettled -= 1
            self._settle_item(self._unsettled)
            if seconds is not None and self._now() - started >= seconds:
                break
        self._add_up()
        return self.settled

    def settle_rows(self, first: int, count: int) -> bool:
        """Lay out what stands in `count` rows from `first` on; returns whether there was anything to do."""
        found = False
        index = self.item_of_row(first)
        height = self._firsts[index] - first if self.items else count
        while index < len(self.items) and height < count:
            if self._laid[index] is None:
                self._settle_item(index)
                found = True
            height += self._heights[index]
            index += 1
        if found:
            self._add_up()
        return found

    def row(self, number: int) -> Row:
        """Row `number` (0 is the first)."""
        index = self.item_of_row(number)
        laid = self._laid[index]
        if laid is None:
            laid = self._lay(self.items[index])
        return laid.row(min(number - self._firsts[index], laid.height - 1), index)

    def item_of_row(self, number: int) -> int:
        """The index of the item that row `number` belongs to; 0 when there are no rows."""
        return max(0, bisect_right(self._firsts, number) - 1)

    def place_of(self, number: int) -> Place:
        """What stands in row `number`."""
        index = self.item_of_row(number)
        return Place(index, number - self._firsts[index] if self.items else 0)

    def row_at(self, place: Place) -> int:
        """Where `place` is now."""
        if place.item >= len(self.items):
            return self.height
        return self._firsts[place.item] + min(place.row, self._heights[place.item] - 1)

    def lines_of(self, index: int) -> Sequence[Line]:
        """The lines of item `index`; one that is not laid out yet has none."""
        laid = self._laid[index]
        return laid.lines if laid is not None else ()

    def row_of(self, item: int, part: int, offset: int) -> int:
        """The row in which character `offset` of line `part` of item `item` stands."""
        laid = self._laid[item]
        if laid is None or part >= len(laid.lines):
            return self._firsts[item]
        above = sum(map(len, laid.starts[:part]))
        return self._firsts[item] + above + bisect_right(laid.starts[part], offset) - 1

    # -- laying out --------------------------------------------------------------------------------------

    def _push(self, item: Item, laid: _Laid) -> None:
        self._firsts.append(self.height)
        self.items.append(item)
        self._laid.append(laid)
        self._heights.append(laid.height)

    def _settle_item(self, index: int) -> None:
        if self._laid[index] is None:
            laid = self._lay(self.items[index])
            self._laid[index], self._heights[index] = laid, laid.height

    def _add_up(self) -> None:
        self._firsts = [0, *accumulate(self._heights)][:-1] if self._heights else []

    def _estimate(self, item: Item) -> int:
        if isinstance(item, Line):
            return max(1, -(-(len(item.text) + len(item.lead)) // self.width))
        return item.rows_expected

    def _lay(self, item: Item) -> _Laid:
        lines = [item] if isinstance(item, Line) else item.lay_out(self.width)
        lines = [self._fitted(line) for line in lines]
        return _Laid(lines, [self._wrap(line, known=[0]) for line in lines])

    def _lay_grown(self, known: _Laid, item: Line) -> tuple[_Laid, int]:
        """A line in the place of another one that it goes on with, and the first row that differs."""
        old, new = known.lines[0], self._fitted(item)
        if old.lead != new.lead or old.hang != new.hang:
            return self._lay(item), 0
        starts, kept = known.starts[0], len(known.starts[0])
        if not new.text.startswith(old.text):
            # A break depends on no more than the row behind it: up to the last whole common row all stays.
            kept = max(1, bisect_right(starts, _common_length(old.text, new.text)) - 1)
        changed = kept - 1
        if old.role != new.role:
            changed = 0
        elif (position := _first_difference(old.spans, new.spans)) is not None:
            changed = min(changed, max(0, bisect_right(starts, position) - 1))
        return _Laid([new], [self._wrap(new, known=starts[:kept])]), changed

    def _fitted(self, line: Line) -> Line:
        """On a very narrow pane what leads a line is part of its text, so that nothing is cut off."""
        if not line.lead and not line.hang:
            return line
        if self.width - max(cell_len(line.lead), cell_len(line.hang)) >= _NARROWEST_TEXT:
            return line
        return Line(line.lead.lstrip() + line.text, line.role)

    def _wrap(self, line: Line, *, known: list[int]) -> list[int]:
        """Rows of `line`, of which all but the last of the `known` ones stay as they are."""
        rest = self.width - cell_len(line.hang)
        first = rest if len(known) > 1 else self.width - cell_len(line.lead)
        return known[:-1] + wrap_rows(line.text, start=known[-1], first_width=first, width=rest)


def _common_length(first: str, second: str) -> int:
    """How many characters two texts share at their beginning."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _first_difference(old: tuple[Span, ...], new: tuple[Span, ...]) -> int | None:
    """The first character whose role differs; None if all are equal."""
    for before, after in zip(old, new, strict=False):
        if before is not after and before != after:
            return min(before.start, after.start)
    longer = old if len(old) > len(new) else new
    shared = min(len(old), len(new))
    return longer[shared].start if shared < len(longer) else None
