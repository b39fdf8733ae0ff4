"""What is remembered of encoded pictures: the same content is encoded once, other content never mistaken."""

from collections.abc import Callable

import numpy as np
import pytest
from mistral_common.tokens.tokenizers import image as reference
from PIL import Image, ImageDraw

from magistral_mlx.errors import ImageError
from magistral_mlx.prompt.images import ImageGeometry
from magistral_mlx.prompt.picture_encoder import REMEMBERED, PictureEncoder
from magistral_mlx.prompt.tokenizer import Tokenizer


@pytest.fixture
def encoder(tokenizer: Tokenizer, geometry: ImageGeometry) -> PictureEncoder:
    return PictureEncoder(tokenizer._tekken, geometry)


@pytest.fixture
def resized(monkeypatch: pytest.MonkeyPatch) -> list[Image.Image]:
    """Every picture that mistral-common resizes from now on."""
    seen: list[Image.Image] = []
    original: Callable[..., object] = reference.transform_image

    def counted(picture: Image.Image, size: tuple[int, int]) -> object:
        seen.append(picture)
        return original(picture, size)

    monkeypatch.setattr(reference, "transform_image", counted)
    return seen


def test_the_same_content_is_encoded_once(encoder: PictureEncoder, resized: list[Image.Image]) -> None:
    picture = Image.new("RGB", (30, 40), (1, 2, 3))
    first, second = encoder.encode(picture), encoder.encode(picture.copy())
    assert first == second
    assert first[1] is second[1]
    assert len(resized) == 1


def test_a_picture_that_was_painted_on_is_another_one(encoder: PictureEncoder) -> None:
    picture = Image.new("RGB", (30, 40))
    before = encoder.encode(picture)[1]
    ImageDraw.Draw(picture).point((3, 3), fill=(255, 0, 0))
    assert encoder.encode(picture)[1].digest != before.digest


def test_equal_bytes_of_other_modes_sizes_and_palettes_are_not_mistaken(encoder: PictureEncoder) -> None:
    bytes_of_zero = [Image.new("L", (28, 56)), Image.new("L", (56, 28)), Image.new("HSV", (28, 28))]
    indexed = Image.new("P", (28, 28))
    indexed.putpalette([250, 10, 10])
    other = indexed.copy()
    other.putpalette([10, 250, 10])
    clear = indexed.copy()
    clear.info["transparency"] = 0
    pictures = [*bytes_of_zero, indexed, other, clear]
    assert len({encoder.encode(picture)[1].digest for picture in pictures}) == len(pictures)


def test_only_the_last_few_are_kept(encoder: PictureEncoder, resized: list[Image.Image]) -> None:
    pictures = [Image.new("L", (5, 5), shade) for shade in range(REMEMBERED + 1)]
    for picture in [*pictures, pictures[-1], pictures[0]]:
        encoder.encode(picture)
    assert len(resized) == REMEMBERED + 2
    assert len(encoder._remembered) == REMEMBERED


def test_what_is_remembered_equals_what_is_encoded(tokenizer: Tokenizer, encoder: PictureEncoder) -> None:
    picture = Image.fromarray(np.random.default_rng(2).integers(0, 256, (33, 61, 4), np.uint8))
    encoder.encode(picture)
    assert tokenizer.geometry is not None
    fresh = PictureEncoder(tokenizer._tekken, tokenizer.geometry).encode(picture)
    np.testing.assert_array_equal(encoder.encode(picture)[1].pixels, fresh[1].pixels)
    assert encoder.encode(picture)[0].tokens == fresh[0].tokens


def test_without_geometry_nothing_is_encoded(tokenizer: Tokenizer) -> None:
    with pytest.raises(ImageError, match="cannot see"):
        PictureEncoder(tokenizer._tekken, None).encode(Image.new("RGB", (3, 3)))
