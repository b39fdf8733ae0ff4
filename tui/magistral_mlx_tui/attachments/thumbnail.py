"""A small preview of an image: half blocks everywhere, the terminal's own images where it has them.

Pillow is imported here only, in a thread, when the first preview is made.
"""

import importlib
import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from textual.content import Content

_NATIVE = "textual_image.widget"
LARGEST_EDGE = 512
"""Pixels of a thumbnail that the terminal draws; more costs time and is not visible."""


class ImageMode(StrEnum):
    """How previews are drawn."""

    AUTO = "auto"
    """Half blocks, or the protocol of a terminal that is known to have one."""
    KITTY = "kitty"
    SIXEL = "sixel"
    HALF = "half"
    OFF = "off"


def choose_mode(wanted: ImageMode, environment: Mapping[str, str] = os.environ) -> ImageMode:
    """KITTY, SIXEL, HALF or OFF.

    A multiplexer swallows image protocols, so AUTO draws half blocks inside of one.
    """
    if wanted is not ImageMode.AUTO:
        return wanted
    if any(name in environment for name in ("TMUX", "STY", "ZELLIJ")):
        return ImageMode.HALF
    program, term = environment.get("TERM_PROGRAM", ""), environment.get("TERM", "")
    if "KITTY_WINDOW_ID" in environment or term == "xterm-kitty":
        return ImageMode.KITTY
    if program in ("iTerm.app", "WezTerm") or term.startswith("foot") or "KONSOLE_VERSION" in environment:
        return ImageMode.SIXEL
    return ImageMode.HALF


def prepare_terminal(mode: ImageMode) -> None:
    """Let textual-image ask the terminal for its cell size before the app starts."""
    if mode in (ImageMode.KITTY, ImageMode.SIXEL):
        importlib.import_module(_NATIVE)  # the import itself asks


def terminal_is_prepared() -> bool:
    """Whether `prepare_terminal` has run."""
    return _NATIVE in sys.modules


def small_copy(kept: Path, into: Path) -> Path:
    """A PNG of at most LARGEST_EDGE pixels of the kept image, made once, in the folder `into`.

    Raises:
        ImageError: the bytes cannot be decoded, or it has too many pixels.
    """
    from magistral_mlx.prompt.image_files import load_preview

    small = into / f"{kept.stem}.png"
    if small.exists():
        return small
    preview = load_preview(kept, edge=LARGEST_EDGE)
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = small.with_name(f"{small.name}.{os.getpid()}.part")
    preview.save(part, "PNG")
    part.replace(small)
    return small


def half_cells(small: Path, columns: int, rows: int) -> Content:
    """The image on at most `columns` x `rows` cells, two pixels in each, one above the other."""
    from PIL import Image

    with Image.open(small) as image:
        scale = min(columns / image.width, 2 * rows / image.height)
        width = max(1, min(columns, round(image.width * scale)))
        height = max(2, min(2 * rows, 2 * round(image.height * scale / 2)))
        data = image.convert("RGB").resize((width, height), Image.Resampling.BOX).tobytes()
    pixels = [f"rgb({data[i]},{data[i + 1]},{data[i + 2]})" for i in range(0, len(data), 3)]
    lines = [
        Content.assemble(
            *(("▀", f"{pixels[row * width + x]} on {pixels[(row + 1) * width + x]}") for x in range(width))
        )
        for row in range(0, height, 2)
    ]
    return Content("\n").join(lines)
