"""A small picture as text: every character is an upper half block, two pixels one above the other."""

from pathlib import Path

from PIL import Image
from rich.color import Color
from rich.style import Style
from rich.text import Text

SHRINK = 4
"""Pixels of the picture per pixel of the text, in each direction."""


def half_blocks(path: Path) -> Text:
    """Return the picture at `path`, shrunk, as coloured lines of one length."""
    with Image.open(path) as image:
        small = image.convert("RGB").reduce(SHRINK)
    data = small.tobytes()
    colours = [Color.from_rgb(*data[start : start + 3]) for start in range(0, len(data), 3)]
    rows = [colours[start : start + small.width] for start in range(0, len(colours), small.width)]
    lines: list[Text] = []
    for upper, lower in zip(rows[::2], rows[1::2], strict=False):
        pairs = zip(upper, lower, strict=True)
        lines.append(Text.assemble(*(("▀", Style(color=above, bgcolor=below)) for above, below in pairs)))
    return Text("\n").join(lines)
