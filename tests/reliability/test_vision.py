"""R6: vision wrong or absent. Positions equal features at any size, each image is the one that is asked
about, over several turns, and a model that lost its eyes refuses images."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from PIL import Image, ImageDraw

import magistral_mlx as mm
from magistral_mlx.checkpoint.parameters import VISION_PREFIXES
from support.random_checkpoint import tiny_config, write_converted

EDGE = 280
SIZES = [
    (1, 1), (1, 2), (13, 14), (14, 28), (27, 29), (28, 28), (29, 57), (56, 84), (100, 3), (3, 100),
    (279, 281), (280, 280), (281, 279), (300, 200), (640, 480), (1000, 10), (10, 1000), (1540, 1540),
    (3024, 4032), (9000, 200), (200, 9000), (9000, 1), (1, 9000),
]  # fmt: skip
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 6}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    """Random weights: what an image shows changes what is said. Small images, as the CPU is slow."""
    config = tiny_config()
    config["vision_config"]["image_size"] = EDGE
    folder = write_converted(tmp_path_factory.mktemp("eye") / "tiny", config=config, seed=4)
    tekken = json.loads((folder / "tekken.json").read_text())
    tekken["image"]["max_image_size"] = EDGE
    (folder / "tekken.json").write_text(json.dumps(tekken))
    with mm.load(folder) as loaded:
        yield loaded


def image(number: int, size: tuple[int, int] = (84, 56)) -> Image.Image:
    """One of a few that look different and have the same size."""
    image = Image.new("RGB", size, (40 * number % 256, 255 - 50 * number % 256, 90))
    ImageDraw.Draw(image).rectangle([number * 9, 5, number * 9 + 14, 40], fill="white")
    return image


@pytest.mark.parametrize("size", SIZES)
def test_positions_equal_features_at_any_size(model: mm.Magistral, size: tuple[int, int]) -> None:
    """A mismatch would be refused by the cache's record or by the tower's check."""
    reply = model.ask("What is it?", images=[image(1, size)], **GREEDY)
    rows_and_columns = reply.stats.image_tokens
    assert 1 <= rows_and_columns <= (EDGE // 28) ** 2
    assert reply.ending in (mm.Ending.CUT_IN_ANSWER, mm.Ending.COMPLETE)
    planned = mm.plan(model, images=[size]).image_tokens
    assert reply.stats.image_tokens < planned <= 2 * reply.stats.image_tokens  # with a break per row


def said(reply: mm.Reply) -> tuple[str, str]:
    return reply.reasoning, reply.answer


@pytest.mark.parametrize("place", range(5))
def test_each_of_five_images_counts(model: mm.Magistral, place: int) -> None:
    """Swapping any one for another of the same size changes what the model computes."""
    images = [image(number) for number in range(5)]
    ids = model.tokenize([{"role": "user", "content": "x"}])
    image_id = model._loaded.tokenizer.special.image if model._loaded else None
    assert image_id is not None
    positions = mm.plan(model, images=[(84, 56)]).image_tokens
    assert positions == 8
    prompt = [*ids[:2], *([image_id] * 6 * 5), *ids[2:]]
    before = model.logits(prompt, images=images)[-1]
    images[place] = image(place + 7)
    after = model.logits(prompt, images=images)[-1]
    assert mx.abs(before - after).max().item() > 1e-3


def test_one_to_five_images_over_four_turns_warm_as_cold(model: mm.Magistral) -> None:
    turns = [[0], [1, 2], [], [3, 4]]
    chat = model.conversation()
    warm = [chat.ask(f"Turn {n}?", images=[image(i) for i in each], **GREEDY) for n, each in enumerate(turns)]
    assert warm[-1].stats.image_tokens == 5 * 6
    assert all(reply.stats.cached_tokens > 0 for reply in warm[1:])
    with mm.load(model.path) as fresh:
        for count in range(1, len(turns) + 1):
            cold = fresh.conversation(turns=chat.turns[: 2 * count - 2])
            reply = cold.ask(f"Turn {count - 1}?", images=[image(i) for i in turns[count - 1]], **GREEDY)
            assert said(reply) == said(warm[count - 1])


def test_a_second_turn_about_another_image_is_about_that_one(model: mm.Magistral) -> None:
    first, second = image(21), image(22)  # of one size, and not seen by other tests
    chat = model.conversation()
    chat.ask("Describe.", images=[first], **GREEDY)
    assert model._loaded is not None
    encoded = model._loaded.features.encoded
    chat.ask("Describe.", images=[second], **GREEDY)
    assert model._loaded.features.encoded == encoded + 1
    chat.ask("And the first?", images=[first], **GREEDY)
    assert model._loaded.features.encoded == encoded + 1  # known already


def blind_folder(folder: Path) -> Path:
    """A converted folder whose vision weights were thrown away, its config as it was."""
    write_converted(folder)
    for file in folder.glob("*.safetensors"):
        weights = mx.load(str(file))
        assert isinstance(weights, dict)
        kept = {name: array for name, array in weights.items() if not name.startswith(VISION_PREFIXES)}
        mx.eval(kept)
        file.unlink()
        mx.save_safetensors(str(folder / "model.safetensors"), kept)
    (folder / "model.safetensors.index.json").unlink()
    return folder


def test_lost_vision_weights_are_an_error_not_a_text_model(tmp_path: Path) -> None:
    folder = blind_folder(tmp_path / "blind")
    with pytest.raises(mm.CheckpointError, match="vision"):
        mm.load(folder)


def test_a_model_without_eyes_refuses_images_and_answers_text(tmp_path: Path) -> None:
    folder = blind_folder(tmp_path / "text")
    config = json.loads((folder / "config.json").read_text())
    del config["vision_config"]
    (folder / "config.json").write_text(json.dumps(config))
    with mm.load(folder) as model:
        assert not model.sees
        with pytest.raises(mm.ImageError, match="cannot see"):
            model.ask("What is it?", images=[image(1)])
        assert model.ask("Hello?", **GREEDY).stats.prompt_tokens > 0
