"""Rows of text of equal width that stand on a base line, as TeX's boxes do, and how they are joined."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len


@dataclass(frozen=True, slots=True)
class Box:
    """Rows of one width; `base` is the index of the row that stands on the base line.

    `tight`: it reads as one thing when something stands right beside it.
    """

    rows: tuple[str, ...]
    base: int = 0
    tight: bool = True

    @property
    def width(self) -> int:
        """Cells."""
        return cell_len(self.rows[0])


def beside(boxes: Sequence[Box]) -> Box:
    """Boxes in a row on one base line."""
    boxes = [box for box in boxes if box.rows != ("",)] or [Box(("",))]
    above = max(box.base for box in boxes)
    below = max(len(box.rows) - box.base for box in boxes)
    lines = [""] * (above + below)
    for box in boxes:
        blank = " " * box.width
        first = above - box.base
        for number in range(len(lines)):
            inside = first <= number < first + len(box.rows)
            lines[number] += box.rows[number - first] if inside else blank
    return Box(tuple(lines), above)


def pad(box: Box, width: int, *, lean: str = "middle") -> tuple[str, ...]:
    room = max(0, width - box.width)
    left = {"left": 0, "right": room}.get(lean, room // 2)
    return tuple(" " * left + row + " " * (room - left) for row in box.rows)


def pile(above: Box | None, middle: Box, below: Box | None) -> Box:
    """Centred above each other, on the base line of the middle."""
    width = max(box.width for box in (above, middle, below) if box is not None)
    top = pad(above, width) if above else ()
    bottom = pad(below, width) if below else ()
    return Box((*top, *pad(middle, width), *bottom), len(top) + middle.base)


_TALL = {
    "(": "⎛⎜⎝", ")": "⎞⎟⎠", "[": "⎡⎢⎣", "]": "⎤⎥⎦", "|": "│││", "‖": "║║║", "⌈": "⎡⎢⎢", "⌉": "⎤⎥⎥",
    "⌊": "⎢⎢⎣", "⌋": "⎥⎥⎦", "⟨": "⟨⟨⟨", "⟩": "⟩⟩⟩", "/": "/  ", "\\": "\\  ", "↑": "↑││", "↓": "││↓",
}  # fmt: skip
_BRACES = {"{": ("⎧", "⎨", "⎩", "⎪"), "}": ("⎫", "⎬", "⎭", "⎪")}


def delimiter(sign: str, inner: Box) -> Box:
    """A delimiter as tall as `inner`; an empty one takes no room."""
    height = len(inner.rows)
    if height == 1 or not sign:
        return Box((sign,))
    if sign in _BRACES:
        top, middle, bottom, side = _BRACES[sign]
        centre = height // 2 if height > 2 else -1
        rows = [side] * height
        rows[0], rows[-1] = top, bottom
        if centre >= 0:
            rows[centre] = middle
    else:
        top, middle, bottom = tuple(_TALL.get(sign, sign * 3))
        rows = [top, *[middle] * (height - 2), bottom]
    return Box(tuple(rows), inner.base)
