"""Source and result side by side: equal where they are equal, and the runtime's own logits in every case."""

import math
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from magistral_mlx.checkpoint.folder import open_checkpoint
from magistral_mlx.model.loading import load_model
from magistral_mlx.prompt.images import ImageGeometry
from magistral_mlx.prompt.tokenizer import Tokenizer
from magistral_mlx_convert import convert
from magistral_mlx_convert.report import weights
from magistral_mlx_convert.report.calibration import IMAGES, Sample, calibration_texts, samples
from magistral_mlx_convert.report.compare import compare
from magistral_mlx_convert.report.metrics import Comparison
from magistral_mlx_convert.sources.local import open_local
from support.random_checkpoint import tiny_config, write_source

TEXTS = {"English": "The library closes at eight.", "German": "Das geht natürlich nicht."}
LANGUAGES = """
Arabic Bengali Chinese English Farsi French German Greek Hindi Indonesian Italian Japanese Korean Malay Nepali
Polish Portuguese Romanian Russian Serbian Spanish Turkish Ukrainian Vietnamese
""".split()  # noqa: SIM905 - 24 quoted words would take a screen


def compared(source: Path, folder: Path, **options: Any) -> Comparison:
    opened = open_local(source)
    try:
        return compare(opened, folder, texts=TEXTS, **options)
    finally:
        opened.close()


def surprises(folder: Path, read: list[Sample]) -> list[float]:
    """-log p of every scored token, from the runtime's model."""
    model = load_model(open_checkpoint(folder), dtype=mx.float32)
    found: list[float] = []
    for sample in read:
        features = [model.encode_image(mx.array(image.pixels)) for image in sample.images]
        embeddings = model.embed_prompt(sample.token_ids, features)
        logits = model(mx.array(sample.token_ids)[None], embeddings=embeddings[None])[0]
        logs = np.array(logits - mx.logsumexp(logits, axis=-1, keepdims=True))
        ids = sample.token_ids
        found += [-logs[place - 1, ids[place]] for place in range(sample.scored_from, len(ids))]
    return found


def test_what_is_not_changed_does_not_differ(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hf")
    found = compared(source, convert(source, tmp_path / "out", bits=16))
    assert (found.whole.mean_kl, found.whole.kl_99, found.whole.same_top) == (0.0, 0.0, 1.0)
    assert found.whole.source_perplexity == found.whole.result_perplexity
    assert found.layers == (0.0, 0.0)
    assert list(found.groups) == ["English", "German", IMAGES]
    assert sum(each.tokens for each in found.groups.values()) == found.whole.tokens


@pytest.mark.parametrize(
    ("arguments", "chunk"),
    [({}, 1 << 12), ({"recipe": "nvfp4"}, 1 << 24), ({"recipe": "5bit", "vision_bits": 4}, 1 << 24)],
    ids=str,
)
def test_the_predictions_are_the_runtimes_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], chunk: int
) -> None:
    monkeypatch.setattr(weights, "CHUNK_WEIGHTS", chunk)
    source = write_source(tmp_path / "hf", new_style=True)
    original = convert(source, tmp_path / "original", bits=16)
    folder = convert(source, tmp_path / "out", **arguments)
    found = compared(source, folder)
    tokenizer = Tokenizer.from_file(folder / "tekken.json", ImageGeometry(14, 2, 1540))
    read = samples(tokenizer, seeing=True, texts=TEXTS)
    for where, perplexity in (
        (original, found.whole.source_perplexity),
        (folder, found.whole.result_perplexity),
    ):
        assert perplexity == pytest.approx(math.exp(np.mean(surprises(where, read))), rel=1e-4)
    assert 0 < found.whole.mean_kl < found.whole.kl_99
    assert all(0 < difference < 0.6 for difference in found.layers)


def test_fewer_bits_diverge_more(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hf")
    kl = [
        compared(source, convert(source, tmp_path / str(bits), bits=bits)).whole.mean_kl for bits in (8, 4, 2)
    ]
    assert kl == sorted(kl)
    assert kl[0] < kl[1] / 20


def test_a_text_model_reads_no_images(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hf", config=tiny_config(vision=False))
    found = compared(source, convert(source, tmp_path / "out"))
    assert list(found.groups) == ["English", "German"]


def test_every_language_of_the_model_card_has_its_text() -> None:
    texts = calibration_texts()
    assert sorted(texts) == LANGUAGES
    assert len(set(texts.values())) == len(texts)
    assert all(len(text) > 80 for text in texts.values())


def test_progress_ends_at_its_end(tmp_path: Path) -> None:
    source = write_source(tmp_path / "hf")
    steps: list[tuple[int, int]] = []
    compared(
        source, convert(source, tmp_path / "out"), progress=lambda done, total: steps.append((done, total))
    )
    assert steps == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
