"""Idle KV caches: the longest beginning is found, nobody loses what is theirs, the bound holds."""

import mlx.core as mx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.checkpoint.config import parse_config
from magistral_mlx.generation.cache.cache_store import CacheStore
from magistral_mlx.generation.cache.prompt_cache import SPARE_POSITIONS, Key, PromptCache, common_length
from magistral_mlx.model.kv_cache import LayerCache, new_layers
from support.random_checkpoint import tiny_config


class Layers:
    """A model as far as caches know it."""

    config = parse_config(tiny_config())

    def make_cache(self, *, bits: int = 16) -> list[LayerCache]:
        return new_layers(2, head_dim=32, bits=bits)


ONE_STEP = 2 * 2 * 256 * 32 * 4
"""Bytes of a cache of up to 256 positions: two layers, keys and values, one head."""


def store(limit_bytes: int = 10**9) -> CacheStore:
    return CacheStore(Layers(), limit_bytes=limit_bytes)  # type: ignore[arg-type]  # only make_cache is used


def feed(cache: PromptCache, keys: list[Key]) -> None:
    """Keys and values that tell which key they belong to."""
    if keys:
        values = mx.array([float(hash(key) % 1000) for key in keys])
        block = mx.broadcast_to(values[None, None, :, None], (1, 1, len(keys), 32))
        for layer in cache.layers:
            layer.update_and_fetch(block, block)
    cache.extend(keys)


def content(cache: PromptCache) -> list[float]:
    layer = cache.layers[0]
    return [] if layer.empty() else layer.state[0][0, 0, : layer.offset, 0].tolist()


def asked(caches: CacheStore, keys: list[Key], owner: object, *, kv_bits: int = 16) -> int:
    """One question: how much of its prompt was there already."""
    cache = caches.take(keys, owner=owner, kv_bits=kv_bits)
    held = len(cache)
    feed(cache, keys[held:])
    assert {layer.offset for layer in cache.layers} == {len(keys)}
    if kv_bits == 16:
        assert content(cache) == [float(hash(key) % 1000) for key in keys]
    caches.give_back(cache, owner=owner)
    return held


def test_a_conversation_goes_on_where_it_was() -> None:
    caches, me = store(), object()
    assert asked(caches, [1, 2, 3], me) == 0
    assert asked(caches, [1, 2, 3, 4, 5], me) == 3
    assert len(caches) == 1


def test_an_edited_question_trims_the_askers_own() -> None:
    caches, me = store(), object()
    asked(caches, [1, 2, 3, 4], me)
    assert asked(caches, [1, 2, 9], me) == 2
    assert len(caches) == 1


def test_others_share_a_beginning_and_lose_nothing() -> None:
    caches, me, you = store(), object(), object()
    asked(caches, [1, 2, 3, 4], me)
    assert asked(caches, [1, 2, 9], you) == 2
    assert asked(caches, [1, 2, 3, 4, 5], me) == 4
    assert asked(caches, [1, 2, 9, 9], you) == 3


def test_a_branch_takes_the_whole_and_the_other_copies_it_back() -> None:
    caches, me, branch = store(), object(), object()
    asked(caches, [1, 2, 3], me)
    assert asked(caches, [1, 2, 3, 7], branch) == 3
    assert asked(caches, [1, 2, 3, 8], me) == 3
    assert len(caches) == 2


def test_the_least_recently_used_goes_first() -> None:
    caches = store(2 * ONE_STEP)
    owners = [object() for _ in range(3)]
    for number, owner in enumerate(owners):
        asked(caches, [number, 1, 2], owner)
        asked(caches, [0, 1, 2, 3 + number], owners[0])
    assert caches.nbytes <= 2 * ONE_STEP
    assert asked(caches, [1, 1, 2], owners[1]) == 0
    assert caches.held(owners[0]) is None or asked(caches, [0, 1, 2, 5, 6], owners[0]) > 0


def test_the_newest_stays_even_over_the_bound_until_room_is_needed() -> None:
    caches, me = store(1), object()
    asked(caches, [1, 2, 3], me)
    assert len(caches) == 1
    assert asked(caches, [1, 2, 3, 4], me) == 3
    caches.make_room(1)
    assert len(caches) == 0


def test_widths_are_not_mixed() -> None:
    caches, me, you = store(), object(), object()
    asked(caches, [1, 2, 3], me)
    assert asked(caches, [1, 2, 3, 4], you, kv_bits=8) == 0
    assert asked(caches, [1, 2, 3, 5], me, kv_bits=8) == 3  # what the other one read in that width
    assert asked(caches, [1, 2, 3, 4], me) == 3


def test_a_much_trimmed_cache_gives_its_memory_back() -> None:
    caches, me = store(), object()
    long: list[Key] = list(range(2 * SPARE_POSITIONS))
    asked(caches, long, me)
    before = caches.nbytes
    asked(caches, [*long[:5], -1], me)
    assert caches.nbytes < before / 20
    assert asked(caches, [*long[:5], -1, -2], me) == 6


def test_forgetting() -> None:
    caches, me, you = store(), object(), object()
    asked(caches, [1, 2], me)
    asked(caches, [3, 4], you)
    caches.forget(me)
    assert caches.held(me) is None
    assert caches.held(you) is not None
    caches.clear()
    assert (len(caches), caches.nbytes) == (0, 0)


KEYS = st.lists(st.integers(0, 2), min_size=1, max_size=9)


@given(
    questions=st.lists(st.tuples(st.integers(0, 2), KEYS), max_size=12),
    limit=st.sampled_from([0, 1, ONE_STEP, 2 * ONE_STEP, 10**9]),
)
def test_whatever_is_asked_a_cache_holds_what_its_record_says(
    questions: list[tuple[int, list[Key]]], limit: int
) -> None:
    caches = store(limit)
    owners = [object() for _ in range(3)]
    for who, keys in questions:
        asked(caches, keys, owners[who])
        assert len(caches) == 1 or caches.nbytes <= limit


@given(one=KEYS, two=KEYS)
def test_common_length(one: list[Key], two: list[Key]) -> None:
    expected = next((at for at, pair in enumerate(zip(one, two, strict=False)) if pair[0] != pair[1]), None)
    assert common_length(one, two) == (min(len(one), len(two)) if expected is None else expected)


@pytest.mark.parametrize("bits", [16, 8])
def test_a_copy_and_its_origin_go_separate_ways(bits: int) -> None:
    origin = PromptCache(Layers(), kv_bits=bits)  # type: ignore[arg-type]  # only make_cache is used
    feed(origin, [1, 2, 3])
    copied = origin.copy(2)
    feed(copied, [8, 9])
    feed(origin, [4])
    assert (list(origin.keys), list(copied.keys)) == ([1, 2, 3, 4], [1, 2, 8, 9])
    assert [layer.offset for layer in (*origin.layers, *copied.layers)] == [4, 4, 4, 4]
    if bits == 16:
        assert (content(origin), content(copied)) == ([1, 2, 3, 4], [1, 2, 8, 9])
