"""The width of the KV cache as people set it: per model, per conversation, per question, with images."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import magistral_mlx as mm
from support.models import forget_caches, random_model

RED, NOISE = Image.new("RGB", (84, 56), "red"), Image.effect_noise((56, 112), 90).convert("RGB")
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 9}
LONG = "What is it? " * 20


@pytest.fixture(scope="module")
def chance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    """Random weights: every token depends on all before it, so a wrong cache shows at once."""
    with random_model(tmp_path_factory.mktemp("chance"), seed=4) as model:
        yield model


def said(reply: mm.Reply) -> tuple[str, str, mm.Ending]:
    return reply.reasoning, reply.answer, reply.ending


@pytest.mark.parametrize("bits", [8, 4])
def test_a_packed_cache_takes_the_share_of_memory_that_it_promises(chance: mm.Magistral, bits: int) -> None:
    plain, packed = chance.conversation(), chance.conversation(kv_bits=bits)
    for chat in (plain, packed):
        chat.ask(LONG, images=[RED], **GREEDY)
    assert (plain.kv_bits, packed.kv_bits) == (16, bits)
    assert plain.context_used == packed.context_used
    # Groups of 32: a scale and a bias of the computing dtype for each.
    assert packed.kv_bytes < plain.kv_bytes * (bits / 32 + 0.07)


@pytest.mark.parametrize("bits", [8, 4])
def test_warm_equals_cold_with_images(chance: mm.Magistral, bits: int) -> None:
    chat = chance.conversation(kv_bits=bits)
    first = chat.ask(LONG, images=[RED], **GREEDY)
    second = chat.ask("And this one?", images=[NOISE], **GREEDY)
    assert second.stats.cached_tokens >= first.stats.prompt_tokens
    chat.forget_cache()
    chat._history.turns = chat.turns[:2]
    assert said(chat.ask("And this one?", images=[NOISE], **GREEDY)) == said(second)
    assert chat.kv_bits == bits


def test_a_question_changes_the_width_from_there_on_and_answers_as_if_it_had_been_so_before(
    chance: mm.Magistral,
) -> None:
    forget_caches(chance)
    chat = chance.conversation(system="Nobody else has read this.")
    chat.ask(LONG, images=[RED], **GREEDY)
    before, turns = chat.kv_bytes, chat.turns
    second = chat.ask("Go on.", kv_bits=8, **GREEDY)
    assert second.stats.cached_tokens == 0  # what was read at 16 bits is not what 8 bits give
    assert chat.kv_bytes < before / 2
    forget_caches(chance)
    fresh = chance.conversation(system="Nobody else has read this.", turns=turns, kv_bits=8)
    assert said(fresh.ask("Go on.", **GREEDY)) == said(second)
    forget_caches(chance)
    chat.regenerate(**GREEDY)
    third = chat.ask("Go on.", **GREEDY)
    assert chat.kv_bits == 8
    assert third.stats.cached_tokens >= second.stats.prompt_tokens
    fourth = chat.ask("Go on.", kv_bits=16, **GREEDY)
    assert fourth.stats.cached_tokens == 0
    assert chat.kv_bits == 16


def test_single_questions_know_nothing_of_each_other(chance: mm.Magistral) -> None:
    exact = said(chance.ask(LONG, **GREEDY))
    chance.ask(LONG, kv_bits=4, **GREEDY)
    assert said(chance.ask(LONG, **GREEDY)) == exact


def test_a_model_is_loaded_with_a_width(chance: mm.Magistral) -> None:
    with mm.load(chance.path, kv_bits=8) as model:
        chat = model.conversation()
        chat.ask(LONG, **GREEDY)
        assert chat.kv_bits == 8
        expected = chance.ask(LONG, kv_bits=8, **GREEDY)
        assert said(model.ask(LONG, **GREEDY)) == said(expected)


@pytest.mark.parametrize("bits", [0, 2, 5, 32, True, "8", 8.5])
def test_impossible_widths(chance: mm.Magistral, bits: Any) -> None:
    for attempt in (
        lambda: chance.ask("x", kv_bits=bits),
        lambda: chance.conversation(kv_bits=bits),
        lambda: mm.load("miniature", kv_bits=bits),
    ):
        with pytest.raises(mm.UsageError, match="kv_bits is"):
            attempt()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["One?", "Two, then?", LONG]), st.sampled_from([None, 16, 8, 4]), st.booleans()
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=8)
@given(steps=STEPS, stop_at=st.integers(1, 6))
def test_record_and_cache_stay_together_whatever_is_asked(
    chance: mm.Magistral, steps: list[tuple[str, int | None, bool]], stop_at: int
) -> None:
    chat = chance.conversation(kv_bits=8)
    for text, bits, image in steps:
        stream = chat.stream(
            text, images=[RED] if image else [], kv_bits=bits, temperature=0, max_tokens=stop_at
        )
        reply = stream.reply()
        loaded = chance._loaded
        assert loaded is not None
        cache = loaded.caches.held(chat._history.owner)
        assert cache is not None
        assert {layer.offset for layer in cache.layers} == {len(cache)}
        assert chat.context_used >= reply.stats.prompt_tokens
        assert chat.kv_bits == (bits or chat.kv_bits)
