"""An answer in a shape that was cut, and goes on: it was closed for want of room, and goes on inside."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import magistral_mlx as mm
from support.models import random_model, scripted
from support.schemas import SCHEMAS
from support.scripted import END_THINK, EOS, THINK

TEXT = "It is seven, as four and three are, café."
SCHEMA: dict[str, Any] = {"type": "string"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    script = [THINK, "{Let me see.", END_THINK, json.dumps(TEXT, ensure_ascii=False), EOS]
    with scripted(tmp_path_factory.mktemp("model"), script) as model:
        yield model


@pytest.fixture(scope="module")
def chance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    with random_model(tmp_path_factory.mktemp("chance")) as model:
        yield model


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("thinking", [True, False])
def test_cut_anywhere_it_becomes_the_answer_that_nothing_cut(
    model: mm.Magistral, alone: bool, thinking: bool
) -> None:
    whole = model.ask("?", schema=SCHEMA, thinking=thinking)
    assert whole.parsed == TEXT
    cuts = 0
    for limit in range(6, 40):
        chat = model.conversation()
        asker = model if alone else chat
        cut = asker.ask("?", schema=SCHEMA, thinking=thinking, max_tokens=limit)
        if cut.ending is mm.Ending.COMPLETE:
            continue
        assert cut.ending is mm.Ending.CUT_IN_ANSWER
        assert isinstance(cut.parsed, str)  # closed for want of room
        joined = model.continue_(cut) if alone else chat.continue_()
        assert joined.ending is mm.Ending.COMPLETE
        assert joined.parsed == TEXT
        assert joined.answer == whole.answer
        assert alone or chat.ask("And now?", schema=SCHEMA).parsed == TEXT
        cuts += 1
    assert cuts > 3


def test_a_cut_value_grows_piece_by_piece(model: mm.Magistral) -> None:
    reply = model.ask("?", schema=SCHEMA, max_tokens=8, thinking=False)
    values = [reply.parsed]
    while reply.ending is mm.Ending.CUT_IN_ANSWER:
        reply = model.continue_(reply, 4)
        values.append(reply.parsed)
    assert len(values) > 2
    assert values[-1] == TEXT
    assert all(TEXT.startswith(str(value).rstrip("\ufffd")) for value in values)


@settings(max_examples=12)
@given(
    name=st.sampled_from(["person", "invoice", "tree", "anything", "moment"]),
    seed=st.integers(0, 9),
    limit=st.integers(45, 90),
    thinking=st.booleans(),
)
def test_noise_stays_in_shape_however_often_it_is_cut(
    chance: mm.Magistral, name: str, seed: int, limit: int, thinking: bool
) -> None:
    schema = SCHEMAS[name]
    chat = chance.conversation()
    try:
        reply = chat.ask("Hello", schema=schema, max_tokens=limit, thinking=thinking, seed=seed)
    except mm.UsageError:  # its smallest answer is longer
        return
    for _ in range(3):
        jsonschema.validate(json.loads(reply.answer), schema)
        if reply.ending.is_whole:
            break
        before = len(reply.answer)
        reply = chat.continue_(60)
        assert len(reply.answer) + 40 > before
    assert chat.turns[-1] == mm.AssistantTurn(reply.reasoning, reply.answer)


def test_stopped_inside_the_value_it_is_finished(model: mm.Magistral) -> None:
    for pieces in range(1, 6):
        chat = model.conversation()
        stream = chat.stream("?", schema=SCHEMA, thinking=False)
        seen = 0
        for event in stream:
            seen += isinstance(event, mm.AnswerText)
            if seen >= pieces:
                stream.stop()
        stopped = stream.reply()
        assert stopped.ending is mm.Ending.STOPPED
        assert stopped.parsed is None
        joined = chat.continue_()
        assert (joined.parsed, joined.ending) == (TEXT, mm.Ending.COMPLETE)


def test_the_room_that_is_left_may_be_too_small(model: mm.Magistral) -> None:
    chat = model.conversation()
    chat.ask("?", schema=SCHEMA, max_tokens=8, thinking=False)
    turns = chat.turns
    with pytest.raises(mm.UsageError, match="max_tokens"):
        chat.continue_(0)
    assert chat.turns == turns
    assert chat.continue_().parsed == TEXT
