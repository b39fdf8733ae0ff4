"""The model as a whole: its parameters, its cache, and prompts with images."""

import math

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten

from magistral_mlx.checkpoint.config import parse_config
from magistral_mlx.checkpoint.parameters import parameter_shapes
from magistral_mlx.errors import PromptError
from magistral_mlx.model.kv_cache import KVCache
from magistral_mlx.model.magistral import MagistralModel
from support.random_checkpoint import random_weights, tiny_config

IDS = [1, 3, 200, 300, 400, 500, 600, 700, 4]

MAGISTRAL = tiny_config()
MAGISTRAL["text_config"] |= {
    "head_dim": 128,
    "hidden_size": 5120,
    "intermediate_size": 32768,
    "max_position_embeddings": 131072,
    "num_attention_heads": 32,
    "num_hidden_layers": 40,
    "num_key_value_heads": 8,
    "vocab_size": 131072,
}
MAGISTRAL["vision_config"] |= {
    "head_dim": 64,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
}


@pytest.fixture(scope="module")
def model() -> MagistralModel:
    config = tiny_config()
    model = MagistralModel(parse_config(config))
    model.load_weights(list(random_weights(config, dtype=mx.float32).items()))
    return model


def difference(one: mx.array, other: mx.array) -> float:
    assert one.shape == other.shape
    return float(mx.abs(one - other).max().item())


@pytest.mark.parametrize("vision", [True, False])
def test_parameters_are_exactly_those_of_the_table(vision: bool) -> None:
    config = parse_config(tiny_config(vision=vision))
    parameters = {name: array.shape for name, array in tree_flatten(MagistralModel(config).parameters())}
    assert parameters == parameter_shapes(config)


def test_magistral_itself_has_585_tensors_and_24_billion_parameters() -> None:
    """Figures of the real checkpoint; MLX is lazy, so that building the model takes no memory."""
    shapes = parameter_shapes(parse_config(MAGISTRAL))
    assert len(shapes) == 585
    assert sum(math.prod(shape) for shape in shapes.values()) == 24_011_361_280
    parameters = tree_flatten(MagistralModel(parse_config(MAGISTRAL)).parameters())
    assert {name: array.shape for name, array in parameters} == shapes


def test_head_over_hidden_is_the_whole(model: MagistralModel) -> None:
    ids = mx.array([IDS])
    hidden = model.hidden(ids, cache=None)
    assert hidden.shape == (1, len(IDS), 64)
    assert difference(model.head(hidden), model(ids)) == 0
    assert difference(model.head(hidden[:, -1:]), model(ids)[:, -1:]) < 1e-5


def test_embeddings_stand_for_their_ids(model: MagistralModel) -> None:
    embeddings = model.embed_prompt(IDS)
    assert difference(embeddings, model.embed(mx.array(IDS))) == 0
    assert difference(model(mx.array([IDS]), embeddings=embeddings[None]), model(mx.array([IDS]))) == 0


@pytest.mark.parametrize("step", [1, 2, 4, 8])
def test_reading_in_chunks_changes_nothing(model: MagistralModel, step: int) -> None:
    whole, cache = model(mx.array([IDS])), model.make_cache()
    for start in range(0, len(IDS), step):
        chunk = model(mx.array([IDS[start : start + step]]), cache=cache)
        assert difference(chunk, whole[:, start : start + step]) < 1e-4
    assert [entry.offset for entry in cache] == [len(IDS)] * 2


def test_trimming_the_cache_forgets_the_end_and_nothing_else(model: MagistralModel) -> None:
    cache = model.make_cache()
    model(mx.array([[*IDS, 800, 900, 1000]]), cache=cache)
    assert [entry.trim(3) for entry in cache] == [3, 3]
    assert [entry.offset for entry in cache] == [len(IDS)] * 2
    after = model(mx.array([[77, 88]]), cache=cache)
    whole = model(mx.array([[*IDS, 77, 88]]))
    assert difference(after, whole[:, -2:]) < 1e-4


def test_a_cache_can_be_trimmed_to_nothing_and_not_below(model: MagistralModel) -> None:
    cache = model.make_cache()
    model(mx.array([IDS]), cache=cache)
    assert [entry.trim(1000) for entry in cache] == [len(IDS)] * 2
    assert difference(model(mx.array([IDS]), cache=cache), model(mx.array([IDS]))) < 1e-4


def test_the_cache_grows_past_its_first_buffer(model: MagistralModel) -> None:
    """mlx-lm's buffers grow 256 positions at a time; trimming and growing again must not mix them up."""
    ids = [100 + index % 900 for index in range(300)]
    cache = model.make_cache()
    model(mx.array([ids]), cache=cache)
    for entry in cache:
        entry.trim(290)
    after = model(mx.array([ids[10:]]), cache=cache)
    assert difference(after, model(mx.array([ids]))[:, 10:]) < 1e-4


def test_a_fresh_cache_is_empty(model: MagistralModel) -> None:
    cache = model.make_cache()
    assert [type(entry) for entry in cache] == [KVCache, KVCache]
    assert [entry.offset for entry in cache] == [0, 0]


def test_features_stand_at_their_positions_in_order(model: MagistralModel) -> None:
    ids = [1, 10, 10, 12, 10, 10, 13, 200, 10, 13, 4]
    one, other = mx.full((4, 64), 1.0), mx.full((1, 64), 2.0)
    embeddings = model.embed_prompt(ids, [one * mx.arange(4)[:, None], other])
    assert [float(embeddings[at, 0].item()) for at in (1, 2, 4, 5, 8)] == [0, 1, 2, 3, 2]
    text = [at for at, token in enumerate(ids) if token != 10]
    assert difference(embeddings[mx.array(text)], model.embed(mx.array([ids[at] for at in text]))) == 0


@pytest.mark.parametrize(("places", "features"), [(0, 2), (2, 0), (3, 2), (2, 3)])
def test_positions_and_features_must_agree(model: MagistralModel, places: int, features: int) -> None:
    given = [mx.zeros((features, 64))] if features else []
    with pytest.raises(PromptError, match=f"{places} \\[IMG\\] positions and its images give {features}"):
        model.embed_prompt([1, *[10] * places, 4], given)


@pytest.mark.parametrize("token", [-1, 1124, 10**9])
def test_an_id_outside_the_vocabulary_is_refused(model: MagistralModel, token: int) -> None:
    with pytest.raises(PromptError, match=f"Token id {token} is outside the vocabulary of 1124"):
        model.embed_prompt([1, token])
