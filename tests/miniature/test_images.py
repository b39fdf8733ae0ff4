"""Drawing of grids and charts: sizes, colours, determinism and refusals."""

import random

import pytest

from magistral_mlx.miniature.images import (
    CELL_SIZE,
    COLOURS,
    SHAPES,
    BarChart,
    Cell,
    Grid,
    draw,
    random_chart,
    random_grid,
)


def test_equal_seeds_give_equal_pixels() -> None:
    grid = random_grid(random.Random(1), rows=3, columns=4)
    first, again, other = (draw(grid, random.Random(seed)) for seed in (2, 2, 3))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 5), (6, 6)])
def test_a_grid_has_one_cell_of_28_pixels_each(rows: int, columns: int) -> None:
    image = draw(random_grid(random.Random(4), rows=rows, columns=columns), random.Random(5))
    assert image.mode == "RGB"
    assert image.size == (columns * CELL_SIZE, rows * CELL_SIZE)


@pytest.mark.parametrize("bars", [3, 4, 5, 6])
def test_a_chart_is_168_pixels_high(bars: int) -> None:
    image = draw(random_chart(random.Random(6), bars=bars), random.Random(7))
    assert image.size == (bars * CELL_SIZE, 168)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("colour", COLOURS)
def test_a_shape_shows_its_colour_in_the_middle_of_its_cell(colour: str, shape: str) -> None:
    grid = Grid(((None, Cell(colour, shape)),))
    image = draw(grid, random.Random(8))
    shown = image.getpixel((CELL_SIZE + CELL_SIZE // 2, CELL_SIZE // 2))
    assert isinstance(shown, tuple)
    assert all(abs(a - b) <= 16 for a, b in zip(shown, COLOURS[colour], strict=True))


def test_bars_are_14_pixels_per_unit() -> None:
    chart = BarChart(("A", "B", "C"), (10, 3, 1))
    image = draw(chart, random.Random(9))
    for column, value in enumerate(chart.values):
        x = column * CELL_SIZE + CELL_SIZE // 2
        inside, above = image.getpixel((x, 141 - 14 * value)), image.getpixel((x, 137 - 14 * value))
        assert inside == image.getpixel((x, 138))
        assert value == 10 or above != inside


def test_charts_at_random_have_one_tallest_and_one_shortest_bar() -> None:
    rng = random.Random(10)
    for _ in range(200):
        values = random_chart(rng).values
        assert values.count(max(values)) == values.count(min(values)) == 1


def test_grids_can_be_held_to_a_few_kinds() -> None:
    rng = random.Random(11)
    for _ in range(50):
        grid = random_grid(rng, rows=6, columns=6, kinds=2)
        assert len({cell for row in grid.cells for cell in row if cell}) <= 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: Cell("pink", "circle"),
        lambda: Cell("red", "heart"),
        lambda: Grid(()),
        lambda: Grid(((None,), (None, None))),
        lambda: Grid(((None,) * 7,)),
        lambda: BarChart(("A", "B"), (1, 2)),
        lambda: BarChart(("A", "A", "B"), (1, 2, 3)),
        lambda: BarChart(("A", "B", "C"), (1, 2, 11)),
    ],
)
def test_impossible_images_are_refused(make: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        make()  # type: ignore[operator]
