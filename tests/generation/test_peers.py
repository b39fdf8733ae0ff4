"""mlx-lm and mlx-vlm run a folder that we converted, and write the same tokens as we do."""

from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm.utils
import mlx_vlm.utils
import pytest
from mlx_lm.generate import generate_step as mlx_lm_steps
from mlx_vlm.generate.ar import generate_step as mlx_vlm_steps
from PIL import Image

import magistral_mlx as mm
from magistral_mlx.prompt.chat import compose, encode
from magistral_mlx.prompt.turns import UserTurn
from magistral_mlx_convert import convert
from support.random_checkpoint import tiny_config, write_source

TOKENS = 24
EOS = 2
QUESTION = "What is in it, and why?"


@pytest.fixture(scope="module", params=[{}, {"bits": 16}], ids=["4 bits", "16 bits"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converted with float32 scales, so that all three compute in float32."""
    directory = tmp_path_factory.mktemp("peers")
    # Another seed than elsewhere: this one's reply does not end at once.
    source = write_source(directory / "hf", config=tiny_config(style=5), seed=11)
    return convert(source, directory / "mlx", dtype="float32", **request.param)


def ours(folder: Path, images: tuple[Image.Image, ...]) -> tuple[list[int], list[int], list[mx.array]]:
    """Ids of the prompt, ids of the reply, pixels of the images."""
    with mm.load(folder) as model:
        chat = model.conversation()
        reply = chat.ask(QUESTION, images=images, temperature=0, max_tokens=TOKENS)
        loaded = model._loaded
        assert loaded is not None
        cache = loaded.caches.held(chat._history.owner)
        assert cache is not None
        messages = compose(
            [UserTurn(QUESTION, images)],
            system=None,
            system_prompt=loaded.reasoning_prompt,
            thinking=True,
        )
        prompt = encode(loaded.tokenizer, messages)
        written = [key for key in cache._keys[reply.stats.prompt_tokens :] if isinstance(key, int)]
    return list(prompt.token_ids), written, [mx.array(image.pixels) for image in prompt.images]


def until_the_end(ids: list[int]) -> list[int]:
    return ids[: ids.index(EOS) + 1] if EOS in ids else ids


def by_mlx_lm(folder: Path, prompt: list[int]) -> list[int]:
    model, _ = mlx_lm.utils.load_model(folder)
    steps = mlx_lm_steps(mx.array(prompt), model, max_tokens=TOKENS)
    return [int(token) for token, _ in steps]


def by_mlx_vlm(folder: Path, prompt: list[int], pixels: list[mx.array]) -> list[int]:
    model: Any = mlx_vlm.utils.load_model(folder)
    extra: dict[str, Any] = {}
    if pixels:
        extra = {"image_sizes": mx.array([each.shape[1:] for each in pixels])}
    steps = mlx_vlm_steps(
        mx.array([prompt]),
        model,
        mx.stack(pixels) if pixels else None,
        None,
        max_tokens=TOKENS,
        temperature=0.0,
        **extra,
    )
    return [int(token) for token, _ in steps]


def test_text(folder: Path) -> None:
    prompt, written, _ = ours(folder, ())
    assert len(written) == TOKENS
    assert until_the_end(by_mlx_lm(folder, prompt)) == written
    assert until_the_end(by_mlx_vlm(folder, prompt, [])) == written


def test_text_and_images(folder: Path) -> None:
    images = tuple(Image.effect_noise((84, 56), sigma).convert("RGB") for sigma in (90, 20))
    prompt, written, pixels = ours(folder, images)
    assert len(set(written)) > 5
    assert until_the_end(by_mlx_vlm(folder, prompt, pixels)) == written
    assert until_the_end(by_mlx_vlm(folder, prompt, pixels[::-1])) != written
