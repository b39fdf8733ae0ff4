"""The demo's questions are checked by the facts in an answer, not by its wording."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.commands.demo_questions import DemoQuestion, bars_in, cells_in, draw_questions, numbers_in
from magistral_mlx.miniature.images import BarChart, Grid


def _by_title(seed: int) -> dict[str, DemoQuestion]:
    return {question.title: question for question in draw_questions(random.Random(seed))}


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_true_answer_is_right_and_another_one_is_not(seed: int, other_seed: int) -> None:
    pairs = zip(draw_questions(random.Random(seed)), draw_questions(random.Random(other_seed)), strict=True)
    for question, other in pairs:
        if question.title in {"Who is it?", "Something it cannot know"}:
            continue
        assert question.is_right(f"It is **{question.truth}**.")
        assert not question.is_right("")
        same = question.truth.replace(";", ",") == other.truth.replace(";", ",")
        assert question.is_right(f"It is **{other.truth}**.") is same


@pytest.mark.parametrize("title", ["Who is it?", "Something it cannot know"])
def test_only_honesty_is_right_about_what_it_is(title: str) -> None:
    question = _by_title(1)[title]
    assert question.is_right("I am only a Miniature of Magistral.")
    assert not question.is_right("I am a large language model.")


def test_equal_seeds_draw_equal_questions_and_others_draw_others() -> None:
    texts = [[question.text for question in draw_questions(random.Random(seed))] for seed in (5, 5, 6)]
    assert texts[0] == texts[1] != texts[2]


def test_a_description_must_name_every_cell_in_order() -> None:
    question = next(
        question
        for seed in range(100)
        for question in draw_questions(random.Random(seed))
        if isinstance(question.image, Grid) and question.title.startswith("Alt") and question.image.rows == 2
    )
    first, second = question.truth.split("; ")
    assert question.is_right(f"A grid: row 1 holds {first}; row 2 holds {second}.")
    assert not question.is_right(f"A grid: row 1 holds {second}; row 2 holds {first}.") or first == second
    assert not question.is_right(f"A grid: row 1 holds {first}.")
    assert not question.is_right(f"A grid: row 1 holds {first}; row 2 holds {second}, a red star.")


def test_facts_are_found_in_their_sentences() -> None:
    chart = BarChart(("A", "C", "X"), (3, 9, 1))
    assert numbers_in("347 - 632 = **-285**") == [347, 632, -285]
    assert numbers_in("There are **3** crosses, no 4x4.") == [3]
    assert cells_in("a Red circle, two blue crosses and an empty cell") == [
        "red circle",
        "blue cross",
        "empty",
    ]
    assert bars_in("The tallest bar is **C**, with the value 9.", chart) == {"C"}
