"""Training guidance on looking and copying agrees with the texts."""

import random

from magistral_miniature.tasks import charts, grids
from magistral_miniature.tasks.arithmetic import arithmetic
from magistral_miniature.tasks.copying import copies
from magistral_miniature.tasks.looking import marks
from magistral_miniature.wordings.words import NUMBERS
from magistral_mlx.miniature.images import random_chart, random_grid


def word_at(text: str, place: int) -> str:
    return text[place:].split(maxsplit=1)[0].rstrip(".,;:?")


def test_copied_characters_are_equal() -> None:
    rng = random.Random(1)
    for _ in range(300):
        turn = arithmetic(rng, "train")
        texts = {"question": turn.question, "thought": turn.thought, "answer": turn.answer}
        pairs = copies(turn.question, turn.thought, turn.answer)
        assert len(pairs) > 15
        differ = [(to, source) for to, source in pairs if texts[to[0]][to[1]] != texts[source[0]][source[1]]]
        assert len(differ) <= 6  # results, which depend on what was carried


def test_the_best_bar_is_copied_from_this_line_or_the_one_before() -> None:
    rng = random.Random(2)
    for _ in range(100):
        turn = charts.extreme_bar(rng, random_chart(rng), "train")
        texts = {"thought": turn.thought, "answer": turn.answer}
        for (name, to), (other, source) in copies(turn.question, turn.thought, turn.answer):
            assert word_at(texts[name], to).strip("*") == word_at(texts[other], source)


def test_words_are_read_from_the_cells_that_hold_them() -> None:
    rng = random.Random(3)
    for _ in range(100):
        grid = random_grid(rng)
        cells = [f"{c.colour} {c.shape}" if c else "empty cell" for row in grid.cells for c in row]
        for turn in (grids.count_cells(rng, grid, "train"), grids.describe_grid(rng, grid, "train")):
            for text in (turn.thought, turn.answer):
                for mark in marks(text, grid):
                    if not mark.after:
                        word = word_at(text, mark.place)
                        assert word in cells[mark.cell] or word in ("a", "an", "yes", "no") or word.isdigit()


def test_letters_and_values_are_read_from_the_axis_under_their_bar() -> None:
    rng = random.Random(4)
    for _ in range(100):
        chart = random_chart(rng)
        axis = 5 * len(chart.labels)
        turns = (charts.read_bar, charts.extreme_bar, charts.describe_chart)
        for turn in (ask(rng, chart, "train") for ask in turns):
            for text in (turn.thought, turn.answer):
                for mark in (mark for mark in marks(text, chart) if not mark.after):
                    bar = mark.cell - axis
                    label, value = chart.labels[bar], chart.values[bar]
                    shown = {label, str(value), NUMBERS[value], str(len(chart.labels)), "yes", "no"}
                    assert word_at(text, mark.place).strip("*") in shown
