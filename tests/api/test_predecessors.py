"""Magistral Small 1.0 and 1.1, converted, loaded and asked: text only, with their own marks of thoughts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import magistral_mlx as mm
from magistral_mlx.errors import CheckpointError, ImageError, PromptError
from magistral_mlx_convert import convert
from support.predecessors import PROMPT_1_0, as_predecessor, write_predecessor
from support.scripted import END_THINK, EOS, THINK, Script, write_scripted_checkpoint

SCRIPTS: dict[str, Script] = {
    "1.0": ["<think>\nFour and three.\n</think>\nIt is **7**.", EOS],
    "1.1": [THINK, "Four and three.", END_THINK, "It is **7**.", EOS],
}


def predecessor(folder: Path, release: str) -> Path:
    """A converted folder that answers every question by its script."""
    source = write_scripted_checkpoint(folder / "hf", SCRIPTS[release], vision=False)
    return convert(as_predecessor(source, release=release), folder / release)


@pytest.fixture(scope="module", params=SCRIPTS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    with mm.load(predecessor(tmp_path_factory.mktemp("old"), request.param)) as model:
        yield model


def test_thought_and_answer_come_apart(model: mm.Magistral) -> None:
    reply = model.ask("What is 4 + 3?")
    assert (reply.reasoning, reply.answer) == ("Four and three.", "It is **7**.")
    assert reply.ending is mm.Ending.COMPLETE
    assert reply.stats.reasoning_tokens > 0
    assert reply.stats.answer_tokens > 0


def test_in_a_shape_one_that_marks_thoughts_in_its_text_answers_at_once(model: mm.Magistral) -> None:
    reply = model.ask("What is 4 + 3?", schema={"type": "string"}, max_tokens=60)
    assert reply.parsed is not None
    assert reply.reasoning == ("Four and three." if model.path.name == "1.1" else "")


def test_it_does_not_see(model: mm.Magistral) -> None:
    assert not model.sees
    with pytest.raises(ImageError, match="cannot see"):
        model.ask("What is it?", images=[b""])


def test_a_conversation_goes_on(model: mm.Magistral) -> None:
    chat = model.conversation()
    chat.ask("What is 4 + 3?")
    again = chat.ask("And again?")
    assert again.answer == "It is **7**."
    assert again.stats.cached_tokens > 0


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    with mm.load(convert(write_predecessor(tmp_path_factory.mktemp("a") / "hf", release="1.0"),
                         tmp_path_factory.mktemp("b") / "out")) as model:  # fmt: skip
        yield model


def sent(model: mm.Magistral, chat: mm.Conversation, text: str, **options: object) -> str:
    """The prompt that a question is sent with, as text; control tokens spelled out."""
    from magistral_mlx.prompt.chat import compose, encode
    from magistral_mlx.prompt.turns import UserTurn

    loaded = model._loaded
    assert loaded is not None
    messages = compose(
        (*chat.turns, UserTurn(text)),
        system=chat.system,
        system_prompt=loaded.reasoning_prompt,
        thinking=bool(options.get("thinking", True)),
        marks=loaded.tokenizer.thought_marks,
    )
    special = {1: "<s>", 2: "</s>", 3: "[INST]", 4: "[/INST]", 17: "[SYSTEM_PROMPT]", 18: "[/SYSTEM_PROMPT]"}
    ids = encode(loaded.tokenizer, messages).token_ids
    return b"".join(
        special[token].encode() if token in special else loaded.tokenizer.token_bytes(token) for token in ids
    ).decode()


def test_the_prompt_of_1_0_is_that_of_its_model_card(old: mm.Magistral) -> None:
    prompt = sent(old, old.conversation(), "Hi")
    assert prompt == f"<s>[SYSTEM_PROMPT]{PROMPT_1_0}[/SYSTEM_PROMPT][INST]Hi[/INST]"


def test_earlier_thoughts_are_sent_in_its_own_marks(tmp_path: Path) -> None:
    with mm.load(predecessor(tmp_path, "1.0")) as model:
        chat = model.conversation(system="You are terse.")
        chat.ask("What is 4 + 3?")
        prompt = sent(model, chat, "And again?")
    assert "[SYSTEM_PROMPT]You are terse.\n\nFirst think." in prompt
    assert "[/INST]<think>\nFour and three.\n</think>\nIt is **7**.</s>[INST]And again?[/INST]" in prompt


def test_without_thinking_the_thought_is_closed_before_it_begins(old: mm.Magistral) -> None:
    prompt = sent(old, old.conversation(), "Hi", thinking=False)
    assert prompt.startswith("<s>[INST]Hi[/INST]<think>\n")
    assert prompt.rstrip().endswith("</think>")


def test_tools_of_the_old_format_are_refused(old: mm.Magistral) -> None:
    tool = {"type": "function", "function": {"name": "f", "description": "", "parameters": {}}}
    with pytest.raises(PromptError, match="Tool calls of the chat format v7"):
        old.ask("Call it", tools=[tool])


def test_a_prompt_of_another_release_is_named(tmp_path: Path) -> None:
    folder = predecessor(tmp_path, "1.0")
    (folder / "SYSTEM_PROMPT.txt").write_text("Think:[THINK]so[/THINK]now")
    with pytest.raises(CheckpointError, match=r"SYSTEM_PROMPT\.txt marks thoughts with \[THINK\]"):
        mm.load(folder)
