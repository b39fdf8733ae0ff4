"""R1: no thinking, because the reasoning prompt is missing or was replaced.

Whatever system text a user gives, the prompt holds Magistral's own pair of thought marks exactly once, by id,
and the user's words beside it.
"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import magistral_mlx as mm
from magistral_mlx.generation.cache.prompt_cache import Key, position_keys
from magistral_mlx.prompt.turns import PreparedPrompt
from support.models import scripted
from support.scripted import END_THINK, EOS, THINK, Script
from support.tekken import SYSTEM_PROMPT

SCRIPT: Script = [THINK, b"Four", END_THINK, b"Seven", EOS]
INSTRUCTION = 3
"""[INST]"""
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
    """The ids that the model has read and written, images left out."""
    loaded = model._loaded
    assert loaded is not None
    cache = loaded.caches.held(chat._history.owner)
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


IMAGE = Image.new("RGB", (56, 28), "red")


def look_up(name: str) -> str:
    """Looks something up."""
    return name


def _saved_and_opened(model: mm.Magistral, folder: Path) -> None:
    chat = model.conversation(system="You are a pirate.")
    chat.ask("One?")
    chat.save(folder / "chat")
    model.load_conversation(folder / "chat").ask("Two?")


def _edited(model: mm.Magistral, folder: Path) -> None:
    chat = model.conversation()
    chat.ask("One?", max_tokens=2)
    chat.continue_()
    chat.regenerate(seed=1)
    chat.edit(0, "Two?", images=[IMAGE])
    chat.branch().ask("Three?")


WAYS: dict[str, Callable[[mm.Magistral, Path], object]] = {
    "ask": lambda model, _: model.ask("One?", system="You are a pirate."),
    "a picture": lambda model, _: model.ask("One?", images=[IMAGE]),
    "tools": lambda model, _: model.ask("One?", tools=[look_up], run_tools=True),
    "a shape": lambda model, _: model.ask("One?", schema={"type": "string"}, max_tokens=40),
    "a packed cache": lambda model, _: model.ask("One?", kv_bits=8),
    "a budget of nothing": lambda model, _: model.ask("One?", thinking_budget=0),
    "many": lambda model, _: model.ask_many(["One?", mm.UserTurn("Two?", (IMAGE,))], system="Terse."),
    "asyncio": lambda model, _: asyncio.run(model.aask("One?")),
    "saved and opened": _saved_and_opened,
    "cut, continued, edited, branched": _edited,
}


@pytest.mark.parametrize("way", WAYS)
def test_however_the_model_is_asked(
    model: mm.Magistral, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    prompts: list[PreparedPrompt] = []

    def recorded(prompt: PreparedPrompt, *, image_id: int | None) -> list[Key]:
        prompts.append(prompt)
        return position_keys(prompt, image_id=image_id)

    monkeypatch.setattr("magistral_mlx.generation.cache.prompt_cache.position_keys", recorded)
    WAYS[way](model, tmp_path)
    assert prompts
    for prompt in prompts:
        system = prompt.token_ids[: prompt.token_ids.index(INSTRUCTION)]
        assert [token_id for token_id in system if token_id in (THINK, END_THINK)] == [THINK, END_THINK]


def test_thinking_is_switched_off_by_the_prompt_and_only_by_it(model: mm.Magistral) -> None:
    chat = model.conversation(system="You are a pirate.")
    chat.ask("What is 4 + 3?", thinking=False)
    ids = sent(model, chat)
    prompt = ids[: ids.index(END_THINK) + 1]
    assert prompt[-2:] == [THINK, END_THINK]
    assert chat.ask("And now?").reasoning == "Four"
