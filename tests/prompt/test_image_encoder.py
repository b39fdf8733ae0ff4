"""What is remembered of encoded images: the same content is encoded once, other content never mistaken."""

from collections.abc import Callable

import numpy as np
import pytest
from mistral_common.tokens.tokenizers import image as reference
from PIL import Image, ImageDraw

from magistral_mlx.errors import ImageError
from magistral_mlx.prompt.image_encoder import REMEMBERED, CachedImageEncoder
from magistral_mlx.prompt.images import ImageGeometry
from magistral_mlx.prompt.tokenizer import Tokenizer


@pytest.fixture
def encoder(tokenizer: Tokenizer, geometry: ImageGeometry) -> CachedImageEncoder:
    return CachedImageEncoder(tokenizer._tekken, geometry)


@pytest.fixture
def resized(monkeypatch: pytest.MonkeyPatch) -> list[Image.Image]:
    """Every image that mistral-common resizes from now on."""
    seen: list[Image.Image] = []
    original: Callable[..., object] = reference.transform_image

    def counted(image: Image.Image, size: tuple[int, int]) -> object:
        seen.append(image)
        return original(image, size)

    monkeypatch.setattr(reference, "transform_image", counted)
    return seen


def test_the_same_content_is_encoded_once(encoder: CachedImageEncoder, resized: list[Image.Image]) -> None:
    image = Image.new("RGB", (30, 40), (1, 2, 3))
    first, second = encoder.encode(image), encoder.encode(image.copy())
    assert first == second
    assert first[1] is second[1]
    assert len(resized) == 1


def test_an_image_that_was_painted_on_is_another_one(encoder: CachedImageEncoder) -> None:
    image = Image.new("RGB", (30, 40))
    before = encoder.encode(image)[1]
    ImageDraw.Draw(image).point((3, 3), fill=(255, 0, 0))
    assert encoder.encode(image)[1].digest != before.digest


def test_equal_bytes_of_other_modes_sizes_and_palettes_are_not_mistaken(encoder: CachedImageEncoder) -> None:
    bytes_of_zero = [Image.new("L", (28, 56)), Image.new("L", (56, 28)), Image.new("HSV", (28, 28))]
    indexed = Image.new("P", (28, 28))
    indexed.putpalette([250, 10, 10])
    other = indexed.copy()
    other.putpalette([10, 250, 10])
    clear = indexed.copy()
    clear.info["transparency"] = 0
    images = [*bytes_of_zero, indexed, other, clear]
    assert len({encoder.encode(image)[1].digest for image in images}) == len(images)


def test_only_the_last_few_are_kept(encoder: CachedImageEncoder, resized: list[Image.Image]) -> None:
    images = [Image.new("L", (5, 5), shade) for shade in range(REMEMBERED + 1)]
    for image in [*images, images[-1], images[0]]:
        encoder.encode(image)
    assert len(resized) == REMEMBERED + 2
    assert len(encoder._remembered) == REMEMBERED


def test_what_is_remembered_equals_what_is_encoded(tokenizer: Tokenizer, encoder: CachedImageEncoder) -> None:
    image = Image.fromarray(np.random.default_rng(2).integers(0, 256, (33, 61, 4), np.uint8))
    encoder.encode(image)
    assert tokenizer.geometry is not None
    fresh = CachedImageEncoder(tokenizer._tekken, tokenizer.geometry).encode(image)
    np.testing.assert_array_equal(encoder.encode(image)[1].pixels, fresh[1].pixels)
    assert encoder.encode(image)[0].tokens == fresh[0].tokens


def test_without_geometry_nothing_is_encoded(tokenizer: Tokenizer) -> None:
    with pytest.raises(ImageError, match="cannot see"):
        CachedImageEncoder(tokenizer._tekken, None).encode(Image.new("RGB", (3, 3)))
