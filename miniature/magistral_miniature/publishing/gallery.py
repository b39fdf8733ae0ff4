"""Images for training as normalised tensors, and the classes of their cells.

Labels use Pillow's own font and the common sans fonts that are installed.
"""

import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from magistral_mlx.miniature.images import (
    COLOURS,
    LETTERS,
    SHAPES,
    BarChart,
    Grid,
    draw,
)

__all__ = ["NOTHING", "cell_classes", "pixels", "training_fonts"]

_MEAN = np.array((0.48145466, 0.4578275, 0.40821073), np.float32)
_STD = np.array((0.26862954, 0.26130258, 0.27577711), np.float32)
_FONT_FOLDERS = ("/usr/share/fonts/truetype", "/Library/Fonts", "/System/Library/Fonts")
_FONT_NAMES = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "FreeSans",
    "FreeSansBold",
    "Lato-Bold",
    "Lato-Medium",
    "Lato-Regular",
    "LiberationSans-Bold",
    "LiberationSans-Regular",
    "LiberationSansNarrow-Regular",
    "NotoSans-Bold",
    "NotoSans-Regular",
    "OpenSans-Bold",
    "OpenSans-Regular",
    "OpenSans-Semibold",
    "Roboto-Bold",
    "Roboto-Medium",
    "Roboto-Regular",
    "Arial",
    "Helvetica",
)
NOTHING = -100
"""Class of a cell without this property; the loss ignores it."""


def training_fonts() -> list[str | None]:
    """Return the installed fonts, and None for Pillow's own, which is a fifth of the list."""
    found = [
        str(path)
        for folder in _FONT_FOLDERS
        for path in sorted(Path(folder).rglob("*.ttf"))
        if path.stem in _FONT_NAMES
    ]
    return [None] * max(len(found) // 4, 1) + found


def pixels(image: Image.Image) -> Tensor:
    """Normalise an RGB image as Pixtral's processor does: float32 [3, height, width]."""
    array = (np.asarray(image, np.float32) / 255 - _MEAN) / _STD
    return torch.from_numpy(array.transpose(2, 0, 1).copy())


def cell_classes(image: Grid | BarChart) -> list[tuple[int, int, int, int]]:
    """Return (shape, colour, letter, value) classes per merged cell, row by row."""
    if isinstance(image, Grid):
        return [
            (len(SHAPES), len(COLOURS), NOTHING, NOTHING)
            if cell is None
            else (SHAPES.index(cell.shape), list(COLOURS).index(cell.colour), NOTHING, NOTHING)
            for row in image.cells
            for cell in row
        ]
    plot = [(NOTHING, NOTHING, NOTHING, NOTHING)] * (5 * len(image.labels))
    axis = [
        (NOTHING, NOTHING, LETTERS.index(label), value)
        for label, value in zip(image.labels, image.values, strict=True)
    ]
    return plot + axis


def render(image: Grid | BarChart, rng: random.Random, fonts: list[str | None]) -> Tensor:
    """Draw an image in a random font and normalise it."""
    return pixels(draw(image, rng, font=rng.choice(fonts)))
