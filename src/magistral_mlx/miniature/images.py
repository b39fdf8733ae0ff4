"""The images that the miniature understands, described as values and drawn with Pillow.

Two kinds exist. A `Grid` holds coloured shapes in cells of 28 x 28 px, so that one cell is exactly
one merged image token (patch 14, merge 2). A `BarChart` has one column of 28 px per bar: a plot of
140 px at 14 px per unit over a row of 28 px with one capital letter under each bar.

What an image shows is in the description; how it looks (jitter, tints, rules, label size) comes
from a `random.Random`, so equal descriptions and equal seeds give equal pixels. Labels use Pillow's
own scalable font unless a font file is given: nothing depends on the fonts of the system.
"""

import functools
import math
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

__all__ = [
    "CELL_SIZE",
    "COLOURS",
    "LARGEST_VALUE",
    "LETTERS",
    "SHAPES",
    "BarChart",
    "Cell",
    "Grid",
    "draw",
    "random_chart",
    "random_grid",
]

CELL_SIZE = 28
"""Edge of a grid cell and width of a chart column, in pixels."""

SHAPES = ("circle", "square", "triangle", "star", "diamond", "cross")
"""Shapes a cell can hold."""

COLOURS = {
    "red": (214, 36, 40),
    "orange": (250, 135, 20),
    "yellow": (245, 214, 30),
    "green": (40, 155, 60),
    "blue": (40, 85, 205),
    "purple": (135, 60, 170),
    "black": (25, 25, 28),
}
"""Colours by name, as RGB before jitter."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Labels a bar can have."""

LARGEST_VALUE = 10
"""Bars have whole values from 1 to this."""

_UNIT = 14
_PLOT_HEIGHT = _UNIT * LARGEST_VALUE
_OVERSAMPLING = 4
_Point = tuple[float, float]
_Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class Cell:
    """One coloured shape; its colour is a key of `COLOURS`, its shape one of `SHAPES`."""

    colour: str
    shape: str

    def __post_init__(self) -> None:
        if self.colour not in COLOURS:
            raise ValueError(f"colour {self.colour!r} is none of {', '.join(COLOURS)}")
        if self.shape not in SHAPES:
            raise ValueError(f"shape {self.shape!r} is none of {', '.join(SHAPES)}")


@dataclass(frozen=True)
class Grid:
    """An image of 1 to 6 rows of 1 to 6 cells, counted from the top left; None is an empty cell."""

    cells: tuple[tuple[Cell | None, ...], ...]

    def __post_init__(self) -> None:
        widths = {len(row) for row in self.cells}
        if not 1 <= len(self.cells) <= 6 or len(widths) != 1 or not 1 <= min(widths) <= 6:
            raise ValueError(f"a grid has 1 to 6 rows of one length of 1 to 6, not {self.cells!r}")

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.cells)

    @property
    def columns(self) -> int:
        """Number of columns."""
        return len(self.cells[0])


@dataclass(frozen=True)
class BarChart:
    """An image of 3 to 6 bars from left to right, each with its own letter and a value of 1 to 10."""

    labels: tuple[str, ...]
    values: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 3 <= len(self.labels) <= 6 or len(self.labels) != len(self.values):
            raise ValueError(f"a chart has 3 to 6 labels and as many values, not {self!r}")
        if len(set(self.labels)) != len(self.labels) or any(x not in LETTERS for x in self.labels):
            raise ValueError(f"labels are different capital letters, not {self.labels!r}")
        if any(not 1 <= value <= LARGEST_VALUE for value in self.values):
            raise ValueError(f"values are whole numbers from 1 to 10, not {self.values!r}")


def random_grid(
    rng: random.Random,
    *,
    rows: int | None = None,
    columns: int | None = None,
    empty: float = 0.3,
    kinds: int | None = None,
) -> Grid:
    """Return a grid with cells drawn at random.

    Args:
        rng: source of all that is not given.
        rows: number of rows, else 1 to 6.
        columns: number of columns, else 1 to 6.
        empty: share of cells without a shape.
        kinds: how many different things the grid may hold; None sets no limit.
    """
    rows = rows or rng.randint(1, 6)
    columns = columns or rng.randint(1, 6)
    every = [Cell(colour, shape) for colour in COLOURS for shape in SHAPES]
    things = every if kinds is None else rng.sample(every, kinds)

    def cell() -> Cell | None:
        return None if rng.random() < empty else rng.choice(things)

    return Grid(tuple(tuple(cell() for _ in range(columns)) for _ in range(rows)))


def random_chart(rng: random.Random, *, bars: int | None = None) -> BarChart:
    """Return a chart with exactly one tallest and exactly one shortest bar."""
    count = bars or rng.randint(3, 6)
    while True:
        values = tuple(rng.randint(1, LARGEST_VALUE) for _ in range(count))
        if values.count(max(values)) == 1 and values.count(min(values)) == 1:
            return BarChart(tuple(rng.sample(LETTERS, count)), values)


def draw(description: Grid | BarChart, rng: random.Random, *, font: str | None = None) -> Image.Image:
    """Draw a description as an RGB image.

    Args:
        description: what the image shows.
        rng: source of everything that is not in the description.
        font: path of a TrueType file for labels; None takes Pillow's own font.

    Returns:
        An image of 28 px per column, and 28 px per row of a grid or 168 px for a chart.
    """
    if isinstance(description, Grid):
        return _draw_grid(description, rng)
    return _draw_chart(description, rng, font)


def _draw_grid(grid: Grid, rng: random.Random) -> Image.Image:
    background = _background(rng)
    image = _canvas(grid.columns * CELL_SIZE, grid.rows * CELL_SIZE, background)
    pen = ImageDraw.Draw(image)
    if rng.random() < 0.5:
        _draw_grid_lines(pen, image.size, _darker(background, rng.randint(25, 90)))
    for row, cells in enumerate(grid.cells):
        for column, cell in enumerate(cells):
            if cell is not None:
                _draw_cell(pen, cell, row, column, rng)
    return image.reduce(_OVERSAMPLING)


def _draw_grid_lines(pen: ImageDraw.ImageDraw, size: tuple[int, int], ink: _Rgb) -> None:
    step, thickness = CELL_SIZE * _OVERSAMPLING, _OVERSAMPLING
    for x in range(0, size[0] + 1, step):
        pen.rectangle((x - thickness // 2, 0, x + thickness // 2 - 1, size[1]), fill=ink)
    for y in range(0, size[1] + 1, step):
        pen.rectangle((0, y - thickness // 2, size[0], y + thickness // 2 - 1), fill=ink)


def _draw_cell(pen: ImageDraw.ImageDraw, cell: Cell, row: int, column: int, rng: random.Random) -> None:
    radius = rng.uniform(7.5, 11.5)
    play = min(2.5, CELL_SIZE / 2 - 1 - radius)
    x = (column + 0.5) * CELL_SIZE + rng.uniform(-play, play)
    y = (row + 0.5) * CELL_SIZE + rng.uniform(-play, play)
    ink = _jittered(COLOURS[cell.colour], rng)
    if cell.shape == "circle":
        box = (x - radius, y - radius, x + radius, y + radius)
        pen.ellipse([value * _OVERSAMPLING for value in box], fill=ink)
        return
    angle = math.radians(rng.uniform(-8, 8))
    sine, cosine = math.sin(angle), math.cos(angle)
    corners = [
        (
            (x + radius * (px * cosine - py * sine)) * _OVERSAMPLING,
            (y + radius * (px * sine + py * cosine)) * _OVERSAMPLING,
        )
        for px, py in _outline(cell.shape, rng)
    ]
    pen.polygon(corners, fill=ink)


def _outline(shape: str, rng: random.Random) -> list[_Point]:
    """Corners of a shape around the origin, at most 1 away from it; y points down."""
    if shape == "square":
        side = rng.uniform(0.78, 0.88)
        return [(-side, -side), (side, -side), (side, side), (-side, side)]
    if shape == "triangle":
        return [_on_circle(1.0, turn) for turn in (0, 1 / 3, 2 / 3)]
    if shape == "diamond":
        width = rng.uniform(0.72, 1.0)
        return [(0.0, -1.0), (width, 0.0), (0.0, 1.0), (-width, 0.0)]
    if shape == "star":
        inner = rng.uniform(0.38, 0.48)
        return [_on_circle(inner if turn % 2 else 1.0, turn / 10) for turn in range(10)]
    arm = rng.uniform(0.26, 0.38)
    quarter = [(arm, -1.0), (arm, -arm), (1.0, -arm)]
    corners = list(quarter)
    for _ in range(3):
        quarter = [(-py, px) for px, py in quarter]
        corners += quarter
    return corners


def _on_circle(radius: float, turn: float) -> _Point:
    angle = 2 * math.pi * turn
    return radius * math.sin(angle), -radius * math.cos(angle)


def _draw_chart(chart: BarChart, rng: random.Random, font: str | None) -> Image.Image:
    background = _background(rng)
    image = _canvas(len(chart.labels) * CELL_SIZE, _PLOT_HEIGHT + CELL_SIZE, background)
    pen = ImageDraw.Draw(image)
    _draw_rules(pen, image.width, _darker(background, rng.randint(15, 60)), rng)
    width = rng.uniform(14, 24)
    same = _jittered(COLOURS[rng.choice(tuple(COLOURS))], rng) if rng.random() < 0.4 else None
    for column, value in enumerate(chart.values):
        middle = (column + 0.5) * CELL_SIZE + rng.uniform(-1, 1)
        ink = same or _jittered(COLOURS[rng.choice(tuple(COLOURS))], rng)
        left, right = (middle - width / 2, middle + width / 2)
        top = _PLOT_HEIGHT - value * _UNIT
        box = (left, top, right, _PLOT_HEIGHT)
        pen.rectangle([round(edge * _OVERSAMPLING) for edge in box], fill=ink)
    image = image.reduce(_OVERSAMPLING)
    _draw_labels(image, chart, rng, font)
    return image


def _draw_rules(pen: ImageDraw.ImageDraw, width: int, ink: _Rgb, rng: random.Random) -> None:
    step = rng.choice((1, 2, 5, 5))
    for value in range(0, LARGEST_VALUE + 1, step):
        y = (_PLOT_HEIGHT - value * _UNIT) * _OVERSAMPLING
        pen.rectangle((0, y, width, y + _OVERSAMPLING - 1), fill=ink)


def _draw_labels(image: Image.Image, chart: BarChart, rng: random.Random, font: str | None) -> None:
    pen = ImageDraw.Draw(image)
    typeface = _typeface(font, rng.randint(14, 18))
    shade = rng.randint(0, 70)
    for column, label in enumerate(chart.labels):
        x = (column + 0.5) * CELL_SIZE + rng.uniform(-1, 1)
        y = _PLOT_HEIGHT + CELL_SIZE / 2 + rng.uniform(-1.5, 1.5)
        pen.text((x, y), label, fill=(shade, shade, shade), font=typeface, anchor="mm")


@functools.lru_cache(maxsize=256)
def _typeface(path: str | None, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    if path is None:
        return ImageFont.load_default(size)
    return ImageFont.truetype(path, size)


def _canvas(width: int, height: int, background: _Rgb) -> Image.Image:
    return Image.new("RGB", (width * _OVERSAMPLING, height * _OVERSAMPLING), background)


def _background(rng: random.Random) -> _Rgb:
    if rng.random() < 0.5:
        return (255, 255, 255)
    return (rng.randint(220, 255), rng.randint(220, 255), rng.randint(220, 255))


def _darker(colour: _Rgb, by: int) -> _Rgb:
    return (max(colour[0] - by, 0), max(colour[1] - by, 0), max(colour[2] - by, 0))


def _jittered(colour: _Rgb, rng: random.Random, by: int = 16) -> _Rgb:
    red, green, blue = (min(max(part + rng.randint(-by, by), 0), 255) for part in colour)
    return (red, green, blue)
