"""Conversations render in the chat format, and held-out cases keep to their split."""

import random
from typing import get_args

import pytest

from magistral_miniature.tasks.cases import BLIND_TASKS, case
from magistral_miniature.tasks.conversations import (
    OUT_OF_ROOM,
    Control,
    Conversation,
    Image,
    Text,
    converse,
    render,
)
from magistral_miniature.tasks.turns import NEEDS_THINKING, Turn
from magistral_miniature.wordings.phrasing import Split
from magistral_mlx.miniature.images import BarChart, Grid, random_chart, random_grid


def test_pieces_render_as_the_chat_format() -> None:
    turn = Turn("add", "What is 1 + 1?", "thought", "answer")
    pieces = render(Conversation((turn, turn), (7, None)))
    text = "".join(
        p.text if isinstance(p, Text) else p.name if isinstance(p, Control) else f"<{p.number}>"
        for p in pieces
    )
    start = text.index("[INST]")
    exchange = "What is 1 + 1?[/INST][THINK]thought[/THINK]answer</s>"
    assert text[start:] == f"[INST]<7>{exchange}[INST]{exchange}"
    assert text.startswith("<s>[SYSTEM_PROMPT]")
    assert [p for p in pieces if isinstance(p, Image)] == [Image(7)]


def test_without_thinking_only_direct_answers_are_given() -> None:
    turn = Turn("add", "What is 1 + 1?", "thought", "answer")
    texts = [p.text for p in render(Conversation((turn,), (None,), thinking=False)) if isinstance(p, Text)]
    assert texts == ["What is 1 + 1?", NEEDS_THINKING]


def test_a_cut_thought_ends_in_an_honest_answer() -> None:
    turn = Turn("add", "What is 1 + 1?", "one two three four", "answer")
    pieces = render(Conversation((turn,), (None,), cut=0.5))
    learned = [p.text for p in pieces if isinstance(p, Text) and p.learned]
    assert learned == ["one two", OUT_OF_ROOM]


def test_every_kind_of_question_turns_up() -> None:
    rng = random.Random(6)

    def pick() -> tuple[int, Grid | BarChart]:
        return 0, random_grid(rng) if rng.random() < 0.5 else random_chart(rng)

    tasks = {turn.task for _ in range(3_000) for turn in converse(rng, pick, "train").turns}
    assert len(tasks) == 21


@pytest.mark.parametrize("split", get_args(Split)[1:])
@pytest.mark.parametrize("task", BLIND_TASKS)
def test_cases_take_the_wordings_of_their_split(task: str, split: str) -> None:
    images = [random_grid(random.Random(1)), random_chart(random.Random(2))]
    turns = [case(task, number, images, split).turn for number in range(20)]  # type: ignore[arg-type]
    assert {turn.task for turn in turns} == {task}
    assert len({turn.question for turn in turns}) > 5
    assert turns == [case(task, number, images, split).turn for number in range(20)]  # type: ignore[arg-type]
