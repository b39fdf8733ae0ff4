"""mlx-lm and mlx-vlm run our folder and write the same tokens as we do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm.utils
import mlx_vlm.utils
import pytest

from magistral_mlx.checkpoint import open_checkpoint
from magistral_mlx.model.loading import load_model
from magistral_mlx_convert import convert
from support.random_checkpoint import write_source

TEXT = [1, 3, 200, 300, 400, 500, 4]
PICTURES = [(56, 84), (28, 56)]
SEEN = [1, 3, 200, 10, 10, 10, 12, 10, 10, 10, 13, 300, 10, 10, 13, 4]
TOKENS = 12


@pytest.fixture(scope="module", params=[4, 16])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of our converter; float32, so that no two logits of a random model tie."""
    source = write_source(tmp_path_factory.mktemp("source"), dtype=mx.float32)
    return convert(source, tmp_path_factory.mktemp("target") / "m", bits=request.param, dtype="float32")


def greedy(step: Callable[[mx.array], mx.array], first: mx.array) -> list[int]:
    """`TOKENS` ids: the best after logits [vocab] `first`, then after each `step` of ids [1, 1]."""
    tokens = [int(mx.argmax(first).item())]
    while len(tokens) < TOKENS:
        tokens.append(int(mx.argmax(step(mx.array([tokens[-1:]]))).item()))
    return tokens


def ours(folder: Path, ids: list[int], pixels: list[mx.array]) -> list[int]:
    model = load_model(open_checkpoint(folder), dtype=mx.float32)
    cache = model.make_cache()
    embeddings = model.embed_prompt(ids, [model.encode_image(picture) for picture in pixels])
    first = model(mx.array([ids]), cache=cache, embeddings=embeddings[None])[0, -1]
    return greedy(lambda token: model(token, cache=cache)[0, -1], first)


def test_mlx_lm_writes_the_same_tokens(folder: Path) -> None:
    model, _ = mlx_lm.utils.load_model(folder)
    cache = model.language_model.make_cache()
    first = model(mx.array([TEXT]), cache=cache)[0, -1]
    assert ours(folder, TEXT, []) == greedy(lambda token: model(token, cache=cache)[0, -1], first)


def test_mlx_vlm_sees_the_pictures_and_writes_the_same_tokens(folder: Path) -> None:
    model: Any = mlx_vlm.utils.load_model(folder)
    pixels = [mx.random.normal((3, *size), key=mx.random.key(index)) for index, size in enumerate(PICTURES)]
    packed = mx.zeros((2, 3, 56, 84))
    for index, (height, width) in enumerate(PICTURES):
        packed[index, :, :height, :width] = pixels[index]
    cache = mlx_vlm.models.cache.make_prompt_cache(model.language_model)
    first = model(mx.array([SEEN]), packed, None, cache=cache, image_sizes=PICTURES).logits[0, -1]
    theirs = greedy(lambda token: model.language_model(token, cache=cache).logits[0, -1], first)
    assert ours(folder, SEEN, pixels) == theirs
    blind = [mx.zeros_like(picture) for picture in pixels]
    assert ours(folder, SEEN, blind) != theirs, "the pictures decide"
