"""Questions that would not fit are refused before any work, and the refusal says what would."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import magistral_mlx as mm
from magistral_mlx.memory.admission import SHORTEST_REPLY, Demand, context_before_sending
from magistral_mlx.memory.sizes import MAGISTRAL_SMALL_4BIT, Machine
from magistral_mlx.storage.units import GIB
from support.models import random_model

SMALL = MAGISTRAL_SMALL_4BIT
LARGEST = 12_100
MACS = (16, 24, 32, 36, 48, 64, 96, 128)


def demand(prompt: int, **changes: Any) -> Demand:
    return replace(Demand(size=SMALL, kv_bits=16, held=0, prompt_tokens=prompt), **changes)


def loaded_on(mac: int) -> Machine:
    """A Mac on which the model is loaded already."""
    return Machine(
        total_bytes=mac * GIB, recommended_bytes=mac * GIB * 3 // 4, used_bytes=SMALL.weight_bytes + GIB // 2
    )


@pytest.mark.parametrize("mac", MACS)
def test_what_fits_on_every_mac(mac: int) -> None:
    machine = loaded_on(mac)
    if mac == 16:
        with pytest.raises(mm.MemoryLimitError):
            context_before_sending(demand(100), machine)
        return
    fitting = context_before_sending(demand(100), machine)
    left = mac * GIB * 3 / 4 - SMALL.weight_bytes - GIB / 2 - 0.3 * GIB
    assert fitting == pytest.approx(min(left / 163_840, 131_072), rel=0.02)


def test_a_refusal_names_every_way_out_with_numbers() -> None:
    machine = loaded_on(24)
    images = demand(30_000, patches=(LARGEST, LARGEST, 400))
    with pytest.raises(mm.MemoryLimitError) as refused:
        context_before_sending(images, machine)
    assert "30,512 tokens, 3 new images" in refused.value.problem
    assert "4.7 GiB for the KV cache" in refused.value.problem
    remedy = refused.value.remedy
    assert "an 8-bit KV cache (kv_bits=8, --kv-bits 8; 47," in remedy
    assert "a prompt of at most 24," in remedy
    assert "closing other programs" in remedy
    close = demand(26_000, patches=(LARGEST, LARGEST))
    with pytest.raises(mm.MemoryLimitError, match=r"images of at most 770 pixels \(4,537 tokens fewer\)"):
        context_before_sending(close, machine)


def test_in_a_conversation_a_new_one_is_the_last_resort() -> None:
    machine = replace(loaded_on(24), used_bytes=18 * GIB - 2**28)
    with pytest.raises(mm.MemoryLimitError, match="Take a new conversation"):
        context_before_sending(demand(40_000, held=39_000, kv_bits=4), machine)


def test_what_is_held_already_costs_nothing_again() -> None:
    machine = replace(loaded_on(24), used_bytes=17 * GIB)
    assert context_before_sending(demand(3000, held=2900), machine) > 3000 + SHORTEST_REPLY


def test_swap_that_is_limited_counts() -> None:
    machine = Machine(total_bytes=64 * GIB, available_bytes=GIB, swap_free_bytes=0, used_bytes=14 * GIB)
    with pytest.raises(mm.MemoryLimitError, match=r"but only 1\.0 GiB is left"):
        context_before_sending(demand(10_000), machine)


@given(
    prompt=st.integers(1, 131_000),
    held=st.integers(0, 131_000),
    bits=st.sampled_from([16, 8, 4]),
    left=st.integers(0, 40 * GIB),
    patches=st.lists(st.integers(4, LARGEST), max_size=3),
)
def test_it_is_allowed_or_refused_in_words(
    prompt: int, held: int, bits: int, left: int, patches: list[int]
) -> None:
    asked = demand(prompt, held=min(held, prompt - 1), kv_bits=bits, patches=tuple(patches))
    machine = Machine(total_bytes=SMALL.weight_bytes + left, used_bytes=SMALL.weight_bytes)
    try:
        assert asked.tokens <= context_before_sending(asked, machine) <= SMALL.context_length
    except mm.MemoryLimitError as refused:
        remedy = refused.remedy
    else:
        remedy = "Take nothing."
    assert remedy.startswith("Take ")
    assert remedy.endswith(".")


def test_an_unknown_machine_refuses_nothing() -> None:
    assert context_before_sending(demand(131_000), Machine()) == 131_072


@pytest.fixture(scope="module")
def chance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    with random_model(tmp_path_factory.mktemp("chance"), seed=4) as model:
        yield model


def machine_with(monkeypatch: pytest.MonkeyPatch, left: int) -> None:
    """This machine, with so much memory left."""
    machine = Machine(total_bytes=10 * GIB + left, used_bytes=10 * GIB)
    monkeypatch.setattr("magistral_mlx.generation.memory_check.this_machine", lambda: machine)


def test_a_question_is_refused_before_anything_is_encoded_and_the_next_one_works(
    chance: mm.Magistral, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = chance.conversation()
    chat.ask("Hello?", temperature=0, max_tokens=4)
    turns, used = chat.turns, chat.context_used
    image = Image.effect_noise((1540, 1540), 90)
    with monkeypatch.context() as patch:
        machine_with(patch, 2**20)
        with pytest.raises(mm.MemoryLimitError, match="a new image"):
            chat.ask("What is it?", images=[image])
    assert chance._loaded is not None
    assert chance._loaded.features.encoded == 0
    assert (chat.turns, chat.context_used) == (turns, used)
    assert chat.ask("And now?", temperature=0, max_tokens=4).stats.cached_tokens > 20


def test_a_reply_ends_where_memory_does(chance: mm.Magistral, monkeypatch: pytest.MonkeyPatch) -> None:
    size = chance.size
    room = 700
    prompt = chance.ask("Hello?", temperature=0, max_tokens=1).stats.prompt_tokens
    left = size.prefill_bytes(room, 16) + room * size.kv_bytes_per_token(16)
    machine_with(monkeypatch, left)
    reply = chance.conversation().ask("Hello?", temperature=0)
    assert reply.stats.prompt_tokens == prompt
    assert prompt + reply.stats.answer_tokens + reply.stats.reasoning_tokens <= room + 3
