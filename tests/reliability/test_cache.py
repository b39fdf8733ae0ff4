"""R10: the cache reads everything anew, or reuses what it must not.

A state machine asks, stops, edits, asks again, goes on, branches, swaps images and switches thinking, and
compares each reply with that of a model of the same weights that reads everything anew.
"""

from collections.abc import Iterator

import pytest
from PIL import Image

import magistral_mlx as mm
from magistral_mlx.prompt.chat import encode
from magistral_mlx.prompt.messages import conversation_messages, system_messages
from support.models import forget_caches, random_model, scripted
from support.scripted import END_THINK, EOS, THINK, Script
from support.warm_and_cold import GREEDY, read, run_conversations

RED, BLUE = (Image.new("RGB", (84, 56), colour) for colour in ("red", "blue"))


@pytest.fixture(scope="module")
def spelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    """Spells its words as the tokenizer never would."""
    script: Script = [THINK, b"Fo", b"ur p", b"lus thr", b"ee", END_THINK, b"Sev", b"en", EOS]
    with scripted(tmp_path_factory.mktemp("spelled"), script) as model:
        yield model


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    """Answers in whole words, as the tokenizer spells them."""
    script: Script = [THINK, b"Four", b" plus", b" three", END_THINK, b"Seven", b" indeed", EOS]
    with scripted(tmp_path_factory.mktemp("words"), script) as model:
        yield model


@pytest.mark.parametrize("thinking", [True, False])
def test_second_turns_read_what_is_new_and_nothing_else(spelled: mm.Magistral, thinking: bool) -> None:
    chat = spelled.conversation(system="You are terse.")
    before = 0
    for text in ("What is 4 + 3?", "Sure?", "And then?", "Why?"):
        images = [RED] if text == "And then?" else []
        reading = read(chat.stream(text, images=images, thinking=thinking))
        assert reading.cached == before or (before == 0 and reading.cached < 20)
        before = chat.context_used


@pytest.mark.parametrize("thinking", [True, False])
def test_a_cut_reply_costs_only_its_closing(spelled: mm.Magistral, thinking: bool) -> None:
    for limit in range(2, 9):
        forget_caches(spelled)
        chat = spelled.conversation()
        chat.ask("One?", max_tokens=limit, thinking=thinking)
        used = chat.context_used
        assert read(chat.stream("Two?", thinking=thinking)).cached == used


def test_canonical_spelling_gives_the_ids_of_mistral_common(words: mm.Magistral) -> None:
    chat = words.conversation(system="You are terse.")
    chat.ask("One?", images=[RED])
    chat.ask("Two?", images=[BLUE])
    chat.ask("Three?")
    loaded = words._loaded
    assert loaded is not None
    cache = loaded.caches.held(chat._history.owner)
    assert cache is not None
    messages = system_messages("You are terse.", loaded.reasoning_prompt)
    messages += conversation_messages(chat.turns[:-1], keep_reasoning=True)
    expected = encode(loaded.tokenizer, messages).token_ids
    image = loaded.tokenizer.special.image
    held = [key if isinstance(key, int) else image for key in cache.keys]
    assert held[: len(expected)] == list(expected)
    assert all(turn.token_ids for turn in chat.turns if isinstance(turn, mm.AssistantTurn))


def test_a_later_image_spoils_only_what_follows_it(words: mm.Magistral) -> None:
    forget_caches(words)
    chat = words.conversation()
    chat.ask("One?", images=[RED])
    chat.ask("Two?")
    used = chat.context_used
    assert read(chat.stream("Three?", images=[BLUE])).cached == used
    swapped = read(chat.edit_stream(4, "Three?", images=[RED]))
    assert used <= swapped.cached < used + 3


def test_a_branch_and_its_origin_both_go_on(words: mm.Magistral) -> None:
    chat = words.conversation()
    chat.ask("One?", images=[RED])
    used = chat.context_used
    branch = chat.branch()
    assert branch.context_used == used
    for each, text in ((branch, "This way?"), (chat, "That way?"), (branch, "On?"), (chat, "On?")):
        used = each.context_used
        assert read(each.stream(text)).cached >= used
    assert chat.turns[:2] == branch.turns[:2]


def test_asking_again_reads_one_token(words: mm.Magistral) -> None:
    chat = words.conversation()
    chat.ask("One?")
    again = read(chat.regenerate_stream())
    assert again.total - again.cached == 1
    assert len(chat.turns) == 2
    with pytest.raises(mm.UsageError, match="no question"):
        words.conversation().regenerate()
    with pytest.raises(mm.UsageError, match="is no question"):
        chat.edit(1, "Two?")


def test_an_edit_that_fails_leaves_the_conversation(words: mm.Magistral) -> None:
    chat = words.conversation()
    chat.ask("One?")
    chat.ask("Two?")
    turns = chat.turns
    with pytest.raises(mm.PromptError):
        chat.edit(0, "many words " * 4000)
    stream = chat.edit_stream(0, "Else?")
    stream.stop()
    stream.reply()
    assert chat.turns == turns


def test_stopping_while_reading_keeps_the_work(tmp_path_factory: pytest.TempPathFactory) -> None:
    with random_model(tmp_path_factory.mktemp("slow"), seed=3) as model:
        text = "A long question, in several chunks. " * 150
        stream = model.stream(text, **GREEDY, max_tokens=3)
        done = 0
        for event in stream:
            if isinstance(event, mm.PrefillProgress) and event.done:
                done = event.done
                stream.stop()
        assert stream.reply().ending is mm.Ending.STOPPED
        assert done > 0
        again = read(model.stream(text, **GREEDY, max_tokens=3))
        assert again.cached >= done < again.total


def test_warm_equals_cold_whatever_is_done(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("warm and cold")
    with random_model(folder / "warm", seed=4) as warm, random_model(folder / "cold", seed=4) as cold:
        run_conversations(
            warm,
            cold,
            questions=("Hm?", "What is in it, exactly?"),
            images=(RED, BLUE),
            most_tokens=7,
            examples=25,
        )
