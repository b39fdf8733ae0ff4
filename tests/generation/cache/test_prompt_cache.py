"""What the KV cache keeps: the longest common beginning, images told apart by their pixels."""

from collections.abc import Iterator
from itertools import takewhile

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.checkpoint.config import parse_config
from magistral_mlx.errors import CheckpointError, PromptError
from magistral_mlx.generation.cache.feature_store import FeatureStore
from magistral_mlx.generation.cache.prompt_cache import Key, PromptCache, position_keys
from magistral_mlx.model.kv_cache import KVCache, LayerCache
from magistral_mlx.model.magistral import MagistralModel
from magistral_mlx.prompt.images import ImageGeometry, PreparedImage
from magistral_mlx.prompt.turns import PreparedPrompt
from support.random_checkpoint import tiny_config

IMG, BREAK, END = 10, 12, 13
GEOMETRY = ImageGeometry(patch_size=14, spatial_merge_size=2, longest_edge=1540)


class Layers:
    """A model as far as the cache knows it."""

    def make_cache(self, *, bits: int = 16) -> list[LayerCache]:
        return [KVCache(), KVCache()]


def cache_with(keys: list[Key]) -> PromptCache:
    cache = PromptCache(Layers())  # type: ignore[arg-type]  # only make_cache is used
    feed(cache, keys)
    return cache


def feed(cache: PromptCache, keys: list[Key]) -> None:
    if keys:
        for layer in cache.layers:
            layer.update_and_fetch(mx.zeros((1, 1, len(keys), 2)), mx.zeros((1, 1, len(keys), 2)))
    cache.extend(keys)


def image(value: float, rows: int = 1, columns: int = 2) -> PreparedImage:
    pixels = np.full((3, rows * 28, columns * 28), value, np.float32)
    return PreparedImage.from_pixels(pixels, GEOMETRY)


KEYS = st.lists(st.integers(0, 2) | st.tuples(st.sampled_from("ab"), st.integers(0, 1)), max_size=8)


@given(held=KEYS, wanted=KEYS.filter(bool))
def test_the_longest_common_beginning_is_kept(held: list[Key], wanted: list[Key]) -> None:
    cache = cache_with(held)
    common = list(takewhile(lambda pair: pair[0] == pair[1], zip(held, wanted[:-1], strict=False)))
    assert cache.match(wanted) == len(common) == len(cache)
    assert all(layer.offset == len(common) for layer in cache.layers)
    feed(cache, wanted[len(common) :])
    assert cache.match([*wanted, 5]) == len(wanted)


def test_an_interrupted_step_is_dropped() -> None:
    cache = cache_with([1, 2, 3])
    for layer in cache.layers:  # fed, but not noted
        layer.update_and_fetch(mx.zeros((1, 1, 1, 2)), mx.zeros((1, 1, 1, 2)))
    assert cache.match([1, 2, 3, 4]) == 3
    assert [layer.offset for layer in cache.layers] == [3, 3]


def test_reset_gives_the_memory_back() -> None:
    cache = cache_with([1, 2, 3])
    assert cache.nbytes > 0
    cache.reset()
    assert (len(cache), cache.nbytes) == (0, 0)
    assert cache.match([1, 2]) == 0


def test_images_of_one_size_have_different_keys() -> None:
    ids = (1, 3, IMG, IMG, END, 7, 4)
    red, blue = (position_keys(PreparedPrompt(ids, (image(v),)), image_id=IMG) for v in (0.1, 0.2))
    assert [a == b for a, b in zip(red, blue, strict=True)] == [True, True, False, False, True, True, True]
    assert red == position_keys(PreparedPrompt(ids, (image(0.1),)), image_id=IMG)
    assert red[2] != red[3]


@pytest.mark.parametrize("images", [(), (image(0), image(1)), (image(0, rows=2),)])
def test_positions_must_equal_features(images: tuple[PreparedImage, ...]) -> None:
    with pytest.raises(PromptError, match="has 2 image positions"):
        position_keys(PreparedPrompt((1, IMG, IMG, END), images), image_id=IMG)


@pytest.fixture(scope="module")
def model() -> Iterator[MagistralModel]:
    return MagistralModel(parse_config(tiny_config()))


def test_features_are_kept_per_image(model: MagistralModel) -> None:
    store = FeatureStore(model)
    first = store.features(image(0.5))
    assert first.shape == (2, 64)
    assert store.features(image(0.5)) is first
    store.features(image(0.6))
    assert store.encoded == 2


def test_the_least_recently_used_features_go_first(model: MagistralModel) -> None:
    one = image(0).token_count * 64 * 4
    store = FeatureStore(model, limit_bytes=2 * one)
    for value in (1, 2, 1, 3):
        store.features(image(value))
    assert store.encoded == 3
    store.features(image(1))
    assert store.encoded == 3
    store.features(image(2))
    assert store.encoded == 4


def test_an_image_over_the_bound_is_kept_while_it_is_the_newest(model: MagistralModel) -> None:
    store = FeatureStore(model, limit_bytes=1)
    store.features(image(1))
    store.features(image(1))
    assert store.encoded == 1


def test_a_tower_that_disagrees_with_the_geometry(model: MagistralModel) -> None:
    wrong = PreparedImage(pixels=image(0).pixels, rows=2, columns=2, digest="x")
    with pytest.raises(CheckpointError, match="2 features for 4 image positions"):
        FeatureStore(model).features(wrong)
