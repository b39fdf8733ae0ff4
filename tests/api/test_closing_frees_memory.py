"""`with mm.load(...)` and `close()` free all memory, whatever of the model is still held or running."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import mlx.core as mx
import pytest
from PIL import Image

import magistral_mlx as mm
from support.models import random_model

RED = Image.new("RGB", (84, 56), "red")
SLACK = 16 * 2**10
"""Bytes that MLX may keep of its own, such as random keys; the model takes a hundred times as much."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("model")
    with random_model(directory, seed=4) as model:
        model.ask("?", max_tokens=2)  # what MLX and the owner thread keep once for all
        yield model.path


def active() -> int:
    gc.collect()
    return mx.get_active_memory()


def nothing(model: mm.Magistral) -> object:
    return model


def a_conversation(model: mm.Magistral) -> object:
    chat = model.conversation()
    reply = chat.ask("Look.", images=[RED], temperature=0, max_tokens=5)
    return chat, chat.branch(), reply, chat.turns


def packed_caches(model: mm.Magistral) -> object:
    chat = model.conversation(kv_bits=8)
    chat.ask("Look. " * 100, images=[RED], temperature=0, max_tokens=5)
    return chat


def a_stream_in_its_middle(model: mm.Magistral) -> object:
    stream = model.stream("Look.", images=[RED], temperature=0, max_tokens=50)
    for event in stream:
        if isinstance(event, mm.ReasoningText | mm.AnswerText):
            break
    return stream


def many(model: mm.Magistral) -> object:
    return model.ask_many(["One?", "Two?", "Three?"], temperature=0, max_tokens=5)


def an_answer_in_shape(model: mm.Magistral) -> object:
    return model.ask("Five?", schema={"type": "integer"}, max_tokens=60, temperature=0)


@pytest.mark.parametrize(
    "used", [nothing, a_conversation, packed_caches, a_stream_in_its_middle, many, an_answer_in_shape]
)
def test_after_the_block_the_memory_is_as_before(
    folder: Path, used: Callable[[mm.Magistral], object]
) -> None:
    before = active()
    with mm.load(folder) as model:
        held = used(model)
        inside = active()
    assert inside - before > model.weight_bytes // 2 > 40 * SLACK
    assert active() - before < SLACK
    assert held is not None  # it is still there, and keeps nothing


def test_an_error_in_the_block_frees_it_too(folder: Path) -> None:
    before = active()
    with pytest.raises(LookupError), mm.load(folder) as model:
        model.ask("One?", max_tokens=3)
        raise LookupError
    assert active() - before < SLACK


def test_a_reply_that_was_running_ends_as_stopped(folder: Path) -> None:
    with mm.load(folder) as model:
        chat = model.conversation()
        stream = chat.stream("One?", temperature=0, max_tokens=50)
        for event in stream:
            if isinstance(event, mm.ReasoningText | mm.AnswerText):
                break
    assert [event for event in stream if isinstance(event, mm.Finished)] == []
    assert stream.reply().ending is mm.Ending.STOPPED
    assert chat.turns[-1] == mm.AssistantTurn(stream.reply().reasoning, stream.reply().answer)
    with pytest.raises(mm.UsageError, match="was closed"):
        chat.ask("Two?")


def test_the_other_model_stays(folder: Path) -> None:
    with mm.load(folder) as stays:
        chat = stays.conversation()
        chat.ask("One?", temperature=0, max_tokens=3)
        before = active()
        with mm.load(folder, draft=folder) as model:
            model.ask("One?", temperature=0, max_tokens=9)
        assert abs(active() - before) < SLACK
        assert chat.ask("Two?", temperature=0, max_tokens=3).stats.cached_tokens
        with pytest.raises(mm.UsageError, match="was closed"):
            model.ask("Two?")
    model.close()  # again does nothing
