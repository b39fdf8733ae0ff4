"""The bundled weights answer common questions right through the public API."""

import random
from collections.abc import Iterator

import pytest

import magistral_mlx as mm
from magistral_mlx.commands.demo_questions import draw_questions
from magistral_mlx.miniature.images import draw

_SUMS = ("What is {a} + {b}?", "{a} + {b}", "{a}+{b}=", "What is {a} plus {b}?", "Add {a} and {b}.")
_DIFFERENCES = ("What is {a} - {b}?", "{a} - {b}", "What is {a} minus {b}?", "Subtract {b} from {a}.")
_PAIRS = ((797, 236), (491, 275), (103, 896), (47, 38), (5, 612), (980, 99))


@pytest.fixture(scope="module")
def model() -> Iterator[mm.Magistral]:
    with mm.load("miniature") as loaded:
        yield loaded


@pytest.mark.parametrize(
    "wording",
    [
        _SUMS[0],
        _DIFFERENCES[0],
        *(pytest.param(wording, marks=pytest.mark.thorough) for wording in (*_SUMS[1:], *_DIFFERENCES[1:])),
    ],
)
def test_plain_sums_and_differences(model: mm.Magistral, wording: str) -> None:
    asked = [wording.format(a=a, b=b) for a, b in _PAIRS]
    replies = model.ask_many(asked, temperature=0.0)
    results = [a + b if wording in _SUMS else a - b for a, b in _PAIRS]
    right = [f"**{result}**" in reply.answer for result, reply in zip(results, replies, strict=True)]
    assert sum(right) >= len(_PAIRS) - 1, [reply.answer for reply in replies]


@pytest.mark.parametrize("seeds", [(0,), pytest.param((1, 2), marks=pytest.mark.thorough)])
def test_one_question_of_each_kind(model: mm.Magistral, seeds: tuple[int, ...]) -> None:
    wrong: list[str] = []
    for seed in seeds:
        for question in draw_questions(random.Random(seed)):
            shown = [] if question.image is None else [draw(question.image, random.Random(seed))]
            answer = model.ask(question.text, images=shown, temperature=0.0).answer
            if not question.is_right(answer):
                wrong.append(f"{question.text} -> {answer}")
    assert len(wrong) <= 1, wrong
