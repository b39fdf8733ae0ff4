"""Grid, pixels and digests; the reference is mistral-common's image encoder itself."""

import random
from dataclasses import FrozenInstanceError
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mistral_common.protocol.instruct.chunk import ImageChunk
from mistral_common.tokens.tokenizers.image import ImageConfig, ImageEncoder, SpecialImageIDs
from PIL import Image

from magistral_mlx.errors import ImageError
from magistral_mlx.prompt.chat import compose, encode
from magistral_mlx.prompt.images import ImageGeometry, PreparedImage, image_grid
from magistral_mlx.prompt.tokenizer import Tokenizer
from magistral_mlx.prompt.turns import UserTurn

SIDES = st.one_of(
    st.integers(1, 3000), st.integers(1, 100_000), st.sampled_from([28, 1540, 1541, 3080, 20_000])
)
GEOMETRIES = st.builds(
    ImageGeometry,
    patch_size=st.integers(1, 20),
    spatial_merge_size=st.integers(1, 4),
    longest_edge=st.integers(1, 2000),
)


def reference_encoder(geometry: ImageGeometry) -> ImageEncoder:
    config = ImageConfig(geometry.patch_size, geometry.longest_edge, geometry.spatial_merge_size)
    return ImageEncoder(config, SpecialImageIDs(img=10, img_break=12, img_end=13))


def reference_grid(width: int, height: int, geometry: ImageGeometry) -> tuple[int, int]:
    only_a_size = SimpleNamespace(size=(width, height))
    columns, rows = reference_encoder(geometry)._image_to_num_tokens(only_a_size)
    return rows, columns


def drawn(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    noise = np.random.default_rng(sum(size)).integers(0, 256, (*size[::-1], 4), np.uint8)
    return Image.fromarray(noise, "RGBA").convert(mode)


def test_grid_equals_mistral_common_for_twenty_thousand_sizes(geometry: ImageGeometry) -> None:
    draw = random.Random(7)
    for _ in range(20_000):
        width, height = (int(10 ** draw.uniform(0, 5)) for _ in range(2))
        assert image_grid(width, height, geometry) == reference_grid(width, height, geometry), (width, height)


@settings(max_examples=300)
@given(width=SIDES, height=SIDES, geometry=GEOMETRIES)
@example(width=847, height=2327, geometry=ImageGeometry(14, 2, 1540))  # floor instead of round differs here
@example(width=20_000, height=3, geometry=ImageGeometry(14, 2, 1540))  # the short side would vanish
def test_grid_equals_mistral_common_for_any_size_and_geometry(
    width: int, height: int, geometry: ImageGeometry
) -> None:
    assert image_grid(width, height, geometry) == reference_grid(width, height, geometry)


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((1, 1), (1, 1)),
        ((1540, 1540), (55, 55)),
        ((4000, 3000), (42, 55)),
        ((1170, 2532), (55, 26)),
        ((640, 480), (18, 23)),
        ((100_000, 10), (1, 55)),
        ((9000, 200), (2, 55)),
    ],
)
def test_grid_of_known_sizes(size: tuple[int, int], grid: tuple[int, int], geometry: ImageGeometry) -> None:
    assert image_grid(*size, geometry) == grid


@pytest.mark.parametrize("size", [(0, 10), (10, 0), (-3, 4)])
def test_an_image_without_pixels_has_no_grid(size: tuple[int, int], geometry: ImageGeometry) -> None:
    with pytest.raises(ImageError, match="at least one pixel"):
        image_grid(*size, geometry)


def prepared(tokenizer: Tokenizer, *images: Image.Image) -> tuple[PreparedImage, ...]:
    turn = UserTurn("?", images)
    return encode(tokenizer, compose([turn], system=None, system_prompt=None, thinking=False)).images


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "YCbCr", "HSV", "RGBX"])
@pytest.mark.parametrize("size", [(1, 1), (37, 60), (30, 700), (84, 56), (1700, 40)])
def test_pixels_equal_mistral_commons_encoder(
    tokenizer: Tokenizer, geometry: ImageGeometry, mode: str, size: tuple[int, int]
) -> None:
    image = drawn(size, mode)
    (ours,) = prepared(tokenizer, image)
    theirs = reference_encoder(geometry)(ImageChunk(image=image))
    assert ours.pixels.dtype == np.float32
    np.testing.assert_array_equal(ours.pixels, theirs.image)
    assert (ours.rows, ours.columns) == image_grid(*size, geometry)
    assert ours.pixels.shape == (3, ours.rows * 28, ours.columns * 28)
    assert ours.pixels.flags.c_contiguous


def test_the_geometry_of_config_json_decides(tokenizer: Tokenizer, geometry: ImageGeometry) -> None:
    from magistral_mlx.prompt.encoding import MessageEncoder

    small = ImageGeometry(patch_size=4, spatial_merge_size=3, longest_edge=60)
    encoder = MessageEncoder(tokenizer._tekken, small)
    image = drawn((200, 90))
    prompt = encoder.encode([{"role": "user", "content": [{"type": "image", "image": image}]}], ())
    theirs = reference_encoder(small)(ImageChunk(image=image))
    np.testing.assert_array_equal(prompt.images[0].pixels, theirs.image)
    assert image_grid(200, 90, small) == (prompt.images[0].rows, prompt.images[0].columns) == (3, 5)


def test_transparency_stands_on_white(tokenizer: Tokenizer) -> None:
    clear = Image.new("RGBA", (28, 28), (0, 0, 0, 0))
    white = Image.new("RGB", (28, 28), (255, 255, 255))
    first, second = prepared(tokenizer, clear, white)
    assert first == second


def test_a_digest_names_shape_and_pixels(tokenizer: Tokenizer) -> None:
    one, same, other, turned = prepared(
        tokenizer, drawn((56, 28)), drawn((56, 28)), drawn((56, 30)), drawn((28, 56))
    )
    assert one.digest == same.digest
    assert one == same
    assert hash(one) == hash(same)
    assert len({one.digest, other.digest, turned.digest}) == 3
    flat, tall = prepared(tokenizer, Image.new("RGB", (56, 28)), Image.new("RGB", (28, 56)))
    assert flat.digest != tall.digest
    assert len(one.digest) == 64


def test_prepared_images_are_values(tokenizer: Tokenizer) -> None:
    (image,) = prepared(tokenizer, drawn((29, 29)))
    assert image.token_count == 4
    assert "pixels" not in repr(image)
    with pytest.raises(FrozenInstanceError):
        image.rows = 3  # type: ignore[misc]
