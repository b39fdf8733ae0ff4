"""Answers and reasoning follow from the numbers and the images."""

import random
import re
from typing import get_args

import pytest

from magistral_miniature.tasks import charts, grids, talk
from magistral_miniature.tasks.arithmetic import add_thought, arithmetic, is_held_out, subtract_thought
from magistral_miniature.wordings.phrasing import Split
from magistral_mlx.miniature.images import BarChart, Cell, Grid, random_chart, random_grid

RED_CIRCLE, BLUE_STAR = Cell("red", "circle"), Cell("blue", "star")
GRID = Grid(((RED_CIRCLE, None, BLUE_STAR), (RED_CIRCLE, RED_CIRCLE, None)))
CHART = BarChart(("D", "B", "C"), (4, 9, 2))


def last_number(text: str) -> int:
    return int(re.findall(r"-?\d+", text)[-1])


@pytest.mark.parametrize("split", get_args(Split))
def test_arithmetic_answers_end_in_the_result(split: str) -> None:
    rng = random.Random(1)
    for _ in range(500):
        turn = arithmetic(rng, split)  # type: ignore[arg-type]
        left, right = (int(x) for x in re.findall(r"\d+", turn.answer)[:2])
        result = {"add": left + right, "subtract": left - right, "difference": abs(left - right)}
        assert last_number(turn.answer) == result[turn.task]
        assert turn.thought.endswith(f" is {result[turn.task]}.")
        assert is_held_out(left, right) is (split != "train") or turn.task != "add"


def test_an_addition_is_worked_out_digit_by_digit() -> None:
    assert add_thought(47, 38).splitlines() == [
        "Add 047 + 038.",
        "Ones: 7 + 8 + 0 = 15",
        "Tens: 4 + 3 + 1 = 08",
        "Hundreds: 0 + 0 + 0 = 00",
        "So 0085 is 85.",
    ]


def test_a_negative_difference_is_worked_out_the_other_way_round() -> None:
    assert subtract_thought(47, 85, signed=True).splitlines() == [
        "Subtract 047 - 085.",
        "Compare 0 = 0, 4 < 8, 7 > 5: less.",
        "Swap 085 - 047, minus.",
        "Ones: 5 - 7 - 0 = 8, borrow 1",
        "Tens: 8 - 4 - 1 = 3, borrow 0",
        "Hundreds: 0 - 0 - 0 = 0, borrow 0",
        "So minus 038 is -38.",
    ]


def test_operand_pairs_are_split() -> None:
    rng = random.Random(5)
    held = sum(is_held_out(rng.randint(0, 999), rng.randint(0, 999)) for _ in range(5_000))
    assert 350 < held < 650


def test_alt_texts_are_one_sentence() -> None:
    assert grids.sentence(GRID) == (
        "A grid with 2 rows and 3 columns: row 1 holds a red circle, an empty cell and a blue star; "
        "row 2 holds a red circle, a red circle and an empty cell."
    )
    assert charts.sentence(CHART) == "A bar chart with 3 bars: D is 4, B is 9 and C is 2."


def test_counts_are_right() -> None:
    rng = random.Random(2)
    for _ in range(300):
        grid = random_grid(rng, kinds=rng.randint(1, 4))
        turn = grids.count_cells(rng, grid, "train")
        found = re.match(r"Look for (\w+) (\w+)\.", turn.thought)
        assert found
        colour, shape = found.groups()
        cells = [cell for row in grid.cells for cell in row if cell]
        fitting = [c for c in cells if colour in ("any", c.colour) and shape in ("shape", c.shape)]
        assert last_number(turn.answer) == len(fitting)


def test_cells_are_read_by_place() -> None:
    rng = random.Random(3)
    for _ in range(300):
        grid = random_grid(rng)
        turn = grids.read_cell(rng, grid, "train")
        row, column = (int(x) for x in re.findall(r"\d+", turn.thought)[:2])
        if row > grid.rows or column > grid.columns:
            assert turn.answer.startswith("There is no ")
            continue
        cell = grid.cells[row - 1][column - 1]
        assert (f"{cell.colour} {cell.shape}" if cell else "**empty**") in turn.answer


def test_no_number_word_sticks_to_a_letter() -> None:
    rng, stuck = random.Random(9), 0
    for _ in range(3_000):
        question = grids.read_cell(rng, random_grid(rng), "train").question.lower()
        assert not re.search(r"\b[rc](one|two|three|four|five|six|seven)\b", question)
        stuck += bool(re.search(r"\br\d", question))
    assert stuck


def test_bars_are_compared_and_read() -> None:
    rng = random.Random(4)
    for _ in range(300):
        chart = random_chart(rng)
        values = dict(zip(chart.labels, chart.values, strict=True))
        extreme = charts.extreme_bar(rng, chart, "train")
        best = (max if extreme.task == "tallest" else min)(values, key=lambda label: values[label])
        assert f"**{best}**" in extreme.answer
        read = charts.read_bar(rng, chart, "train")
        wanted = read.thought[len("Look for ")]
        expected = f"**{values[wanted]}**" if wanted in values else f"There is no bar {wanted}"
        assert expected in read.answer


def test_unknown_questions_are_declined_in_the_same_words() -> None:
    rng = random.Random(7)
    assert len({talk.unknown(rng, "train").answer for _ in range(50)}) == 1
    assert "miniature" in talk.unknown(rng, "held-out").answer
