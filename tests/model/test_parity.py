"""Our logits against those of Transformers, on converted checkpoints that Transformers wrote."""

import shutil
from pathlib import Path

import mlx.core as mx
import pytest

from magistral_mlx.checkpoint.folder import open_checkpoint
from magistral_mlx.model.loading import load_model
from magistral_mlx.model.magistral import MagistralModel
from magistral_mlx_convert import convert
from support.tekken import SYSTEM_PROMPT, write_tekken

GOLDENS = Path(__file__).parents[1] / "goldens"
TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=["narrow", "sharded"])
def golden(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[MagistralModel, Path]:
    """A golden checkpoint converted to float32 without quantization, and its folder."""
    folder = GOLDENS / request.param
    source = tmp_path_factory.mktemp("source")
    for file in folder.glob("*"):
        if file.name != "expected.safetensors":
            shutil.copy(file, source)
    write_tekken(source, text_count=256, special_count=36)
    (source / "SYSTEM_PROMPT.txt").write_text(SYSTEM_PROMPT, "utf-8")
    target = convert(source, tmp_path_factory.mktemp("converted") / "model", bits=16, dtype="float32")
    return load_model(open_checkpoint(target), dtype=mx.float32), folder


@pytest.mark.parametrize("images", [0, 1, 3])
def test_logits_equal_transformers(golden: tuple[MagistralModel, Path], images: int) -> None:
    model, folder = golden
    expected = mx.load(str(folder / "expected.safetensors"))
    assert isinstance(expected, dict)
    token_ids = expected[f"{images}.token_ids"]
    features = [model.encode_image(expected[f"{images}.pixels.{index}"]) for index in range(images)]
    embeddings = model.embed_prompt([int(token) for token in token_ids.tolist()], features)
    logits = model(token_ids[None], embeddings=embeddings[None])[0]
    reference = expected[f"{images}.logits"]
    assert mx.std(reference).item() > 0.5, "the golden is too flat to tell models apart"
    assert mx.abs(logits - reference).max().item() < TOLERANCE


def test_images_matter_to_the_goldens(golden: tuple[MagistralModel, Path]) -> None:
    """A parity test that a blind model could pass would prove nothing about the eyes."""
    model, folder = golden
    expected = mx.load(str(folder / "expected.safetensors"))
    assert isinstance(expected, dict)
    token_ids = [int(token) for token in expected["1.token_ids"].tolist()]
    features = [mx.zeros_like(model.encode_image(expected["1.pixels.0"]))]
    logits = model(mx.array([token_ids]), embeddings=model.embed_prompt(token_ids, features)[None])[0]
    assert mx.abs(logits - expected["1.logits"])[-1].max().item() > 100 * TOLERANCE
