"""`ask_many`: every reply is the one of its question asked alone."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import magistral_mlx as mm
from support.models import random_model, scripted
from support.schemas import SCHEMAS
from support.scripted import END_THINK, EOS, THINK, counting


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    with random_model(tmp_path_factory.mktemp("chance")) as loaded:
        yield loaded


def questions() -> list[str | mm.UserTurn]:
    """Of different lengths; three of them with images, two of which have one size."""
    images = [Image.new("RGB", size, colour) for size, colour in (((60, 50), "red"), ((60, 50), "blue"))]
    return [
        "Hi",
        mm.UserTurn("What is it?", (images[0],)),
        "A somewhat longer question, which says a lot of things before it ends.",
        mm.UserTurn("What is it?", (images[1],)),
        mm.UserTurn("", (images[1], Image.new("RGB", (90, 30), "green"))),
        "Why?",
    ]


def alone(model: mm.Magistral, question: str | mm.UserTurn, options: dict[str, Any]) -> mm.Reply:
    turn = mm.UserTurn(question) if isinstance(question, str) else question
    return model.ask(turn.text, images=turn.images, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0, "max_tokens": 30},
        {"temperature": 1.0, "seed": 3, "max_tokens": 30},
        {"temperature": 0, "max_tokens": 40, "thinking_budget": 5, "stop": ["e", "a"]},
        {"temperature": 0, "max_tokens": 60, "schema": SCHEMAS["person"]},
    ],
)
def test_each_reply_is_that_of_its_question_alone(model: mm.Magistral, options: dict[str, Any]) -> None:
    replies = model.ask_many(questions(), batch_size=3, **options)
    for question, reply in zip(questions(), replies, strict=True):
        single = alone(model, question, options)
        assert (reply.reasoning, reply.answer, reply.ending) == (
            single.reasoning,
            single.answer,
            single.ending,
        )
        assert reply.stats.prompt_tokens == single.stats.prompt_tokens
        assert reply.stats.image_tokens == single.stats.image_tokens
        assert reply.parsed == single.parsed
        assert reply.parsed is None or reply.parsed == json.loads(reply.answer)


def test_control_is_each_replys_own(tmp_path: Path) -> None:
    script = [THINK, counting(30)]
    with scripted(tmp_path, script, loop_to=1, chains={END_THINK: ["Enough.", EOS]}) as endless:
        told: list[int] = []
        replies = endless.ask_many(
            ["One?", "A second question?", "Three?"],
            batch_size=2,
            thinking_budget=9,
            on_reply=lambda number, reply: told.append(number),
        )
        assert {(reply.answer, reply.ending) for reply in replies} == {("Enough.", mm.Ending.COMPLETE)}
        assert len({reply.reasoning for reply in replies}) == 1
        assert sorted(told) == [0, 1, 2]
        assert endless.ask_many([]) == []


def test_what_a_batch_does_not_take(model: mm.Magistral) -> None:
    for options in (
        {"batch_size": 0},
        {"batch_size": True},
        {"logprobs": 1},
        {"kv_bits": 8},
        {"on_reply": 3},
    ):
        with pytest.raises(mm.UsageError):
            model.ask_many(["Hi"], **options)  # type: ignore[arg-type]
    with pytest.raises(mm.PromptError):
        model.ask_many(["Hi", " "])
    with pytest.raises(mm.ContextOverflow):
        model.ask_many(["Hi", "long " * 5000], max_tokens=5)
    assert model.ask("Hi", max_tokens=3).stats.answer_tokens <= 3


def test_from_another_thread_and_beside_other_questions(model: mm.Magistral) -> None:
    chat = model.conversation()
    stream = chat.stream("Hi", max_tokens=20, seed=1)
    next(stream)
    replies: list[mm.Reply] = []
    thread = threading.Thread(
        target=lambda: replies.extend(model.ask_many(["Hi", "Hi"], max_tokens=20, seed=1))
    )
    thread.start()
    thread.join()
    rest = list(stream)
    assert isinstance(rest[-1], mm.Finished)
    assert {reply.answer for reply in replies} == {rest[-1].reply.answer}


@pytest.mark.parametrize("options", [{}, {"schema": {"type": "array", "items": {"type": "string"}}}])
def test_the_same_seed_gives_the_same_reply_through_every_door(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    """Positions are counted from the start of the reply, whatever was drawn or fed before."""
    with random_model(tmp_path, seed=4) as model:
        for seed in range(6):
            asked: dict[str, Any] = {"seed": seed, "max_tokens": 60, "thinking_budget": 5, **options}
            alone = model.ask("Say.", **asked)
            streamed = model.stream("Say.", **asked).reply()
            talked = model.conversation().ask("Say.", **asked)
            (batched,) = model.ask_many(["Say."], **asked)
            beside = model.ask_many(["Say.", "Say."], **asked)
            for other in (streamed, talked, batched, *beside):
                assert (other.reasoning, other.answer) == (alone.reasoning, alone.answer)
