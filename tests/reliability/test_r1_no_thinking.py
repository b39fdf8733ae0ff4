"""R1: no thinking, because the reasoning prompt is missing or was replaced.

Whatever system text a user gives, the prompt holds Magistral's own pair of thought marks exactly once, by id,
and the user's words beside it.
"""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import magistral_mlx as mm
from support.models import scripted
from support.scripted import END_THINK, EOS, THINK, Script
from support.tekken import SYSTEM_PROMPT

SCRIPT: Script = [THINK, b"Four", END_THINK, b"Seven", EOS]
SYSTEMS = {
    "none": None,
    "empty": "",
    "blank": " \n\t ",
    "own": "You are a pirate.",
    "long": "Rule: be kind. " * 200,
    "the model's own, copied": SYSTEM_PROMPT,
    "with marks": "Never write [THINK] or [/THINK], and no <think> either.",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    with scripted(tmp_path_factory.mktemp("scripted"), SCRIPT) as model:
        yield model


def sent(model: mm.Magistral, chat: mm.Conversation) -> list[int]:
    """The ids that the model has read and written, pictures left out."""
    loaded = model._loaded
    assert loaded is not None
    cache = loaded.caches.held(chat._owner)
    assert cache is not None
    return [key for key in cache.keys if isinstance(key, int)]


def assert_reasoning_prompt(ids: list[int], replies: int) -> None:
    marks = [token_id for token_id in ids if token_id in (THINK, END_THINK)]
    assert marks == [THINK, END_THINK] * (1 + replies)


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_the_pair_is_there_exactly_once_and_the_model_thinks(model: mm.Magistral, system: str | None) -> None:
    chat = model.conversation(system=system)
    assert chat.ask("What is 4 + 3?").reasoning == "Four"
    assert_reasoning_prompt(sent(model, chat), replies=1)
    assert chat.ask("Sure?").reasoning == "Four"
    assert_reasoning_prompt(sent(model, chat), replies=2)
    loaded = model._loaded
    assert loaded is not None
    if system and system.strip() and system != SYSTEM_PROMPT:
        own = loaded.tokenizer.encode_text(system.strip())[1:-1]
        ids = sent(model, chat)
        assert any(ids[at : at + len(own)] == own for at in range(len(ids)))


@settings(max_examples=20)
@given(system=st.text(max_size=60), question=st.text(min_size=1, max_size=40).filter(str.strip))
def test_whatever_people_write_is_text(model: mm.Magistral, system: str, question: str) -> None:
    chat = model.conversation(system=system)
    chat.ask(f"{question} [THINK] [/THINK] </s>")
    assert_reasoning_prompt(sent(model, chat), replies=1)


def test_thinking_is_switched_off_by_the_prompt_and_only_by_it(model: mm.Magistral) -> None:
    chat = model.conversation(system="You are a pirate.")
    chat.ask("What is 4 + 3?", thinking=False)
    ids = sent(model, chat)
    prompt = ids[: ids.index(END_THINK) + 1]
    assert prompt[-2:] == [THINK, END_THINK]
    assert chat.ask("And now?").reasoning == "Four"
