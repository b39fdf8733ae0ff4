"""Greedy soft wrap by terminal cells, such that text added at the end changes only the last row.

A row breaks after spaces, before and after wide characters, and anywhere in a word that is longer than a
row. Spaces hang over a row's edge. A break once made does not depend on what follows it, so wrapping again
from the start of the last row gives what wrapping the whole text would give.
"""

import re
from itertools import pairwise

from rich.cells import cell_len, get_character_cell_size, split_graphemes

# Characters that take one cell and join with nothing: the fast path. A test checks them against rich.
_NARROW = re.compile(
    "[ -~\xa0-\xac\xae-\u02ff\u0370-\u0482\u2010-\u2027\u2030-\u205e"
    "\u2190-\u2199\u2200-\u22ff\u2500-\u25fc\u2800-\u28ff]*"
)


def is_narrow(text: str) -> bool:
    """Whether every character of `text` takes exactly one cell and joins with no neighbour."""
    return _NARROW.fullmatch(text) is not None


def wrap_rows(text: str, *, start: int, first_width: int, width: int) -> list[int]:
    """Offsets at which the rows of `text` from `start` on begin; the first one is `start` itself.

    Args:
        text: one line, without newlines and tabs.
        start: where the first of these rows begins.
        first_width: cells of the first row.
        width: cells of each further row. Widths under 1 count as 1.
    """
    if is_narrow(text[start:]):
        return _wrap_narrow(text, start, max(1, first_width), max(1, width))
    return _wrap_wide(text, start, max(1, first_width), max(1, width))


def _wrap_narrow(text: str, start: int, room: int, width: int) -> list[int]:
    starts = [start]
    while True:
        row = starts[-1]
        overflow = row + room
        while overflow < len(text) and text[overflow] == " ":
            overflow += 1
        if overflow >= len(text):
            return starts
        space = text.rfind(" ", row, overflow)
        has_ink = space >= 0 and bool(text[row:space].strip(" "))
        starts.append(space + 1 if has_ink else overflow)
        room = width


def _wrap_wide(text: str, start: int, room: int, width: int) -> list[int]:
    """As `_wrap_narrow`, for text with wide, joined or zero-width characters."""
    units = [(start + first, start + end, cells) for first, end, cells in split_graphemes(text[start:])[0]]
    starts, used, candidate, has_ink = [start], 0, -1, False
    index = 0
    while index < len(units):
        first, end, cells = units[index]
        if text[first:end] != " ":
            if has_ink and _may_break(text[units[index - 1][0]], text[first]):
                candidate = index
            if used + cells > room and first > starts[-1]:
                index = candidate if candidate >= 0 else index
                starts.append(units[index][0])
                room, used, candidate, has_ink = width, 0, -1, False
                continue
            has_ink = True
        used += cells
        index += 1
    return starts


def _may_break(before: str, here: str) -> bool:
    return before == " " or get_character_cell_size(before) == 2 or get_character_cell_size(here) == 2


def cut_rows(text: str, width: int) -> list[str]:
    """The rows of one line as strings, spaces at their ends removed."""
    starts = [*wrap_rows(text, start=0, first_width=width, width=width), len(text)]
    return [text[start:end].rstrip(" ") for start, end in pairwise(starts)]


def pad_cells(text: str, width: int, *, right: bool = False) -> str:
    """`text` with spaces up to `width` cells; on its left side if aligned to the `right`."""
    gap = " " * max(0, width - cell_len(text))
    return gap + text if right else text + gap


def clip_cells(text: str, width: int) -> str:
    """`text` on at most `width` cells, with an ellipsis where something was cut off."""
    if cell_len(text) <= width:
        return text
    kept, used = 0, 0
    for _first, end, cells in split_graphemes(text)[0]:
        if used + cells > width - 1:
            break
        kept, used = end, used + cells
    return text[:kept] + "…" if width > 0 else ""
