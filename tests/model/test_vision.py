"""The eyes: same numbers as mlx-vlm's own path, one image at a time, memory that stays in line."""

from typing import Any

import mlx.core as mx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx_vlm.models import mistral3

from magistral_mlx.checkpoint.config import parse_config
from magistral_mlx.errors import ImageError
from magistral_mlx.model import vision
from magistral_mlx.model.magistral import MagistralModel
from magistral_mlx.model.vision import PatchMerger, patches_by_layer
from support.random_checkpoint import random_weights, tiny_config


def build(**changes: int) -> MagistralModel:
    config = tiny_config()
    config["vision_config"] |= changes
    model = MagistralModel(parse_config(config))
    model.load_weights(list(random_weights(config, dtype=mx.float32).items()))
    return model


@pytest.fixture(scope="module")
def model() -> MagistralModel:
    return build()


def image(height: int, width: int, *, seed: int = 0) -> mx.array:
    return mx.random.normal((3, height, width), key=mx.random.key(seed))


def difference(one: mx.array, other: mx.array) -> float:
    assert one.shape == other.shape
    return float(mx.abs(one - other).max().item())


def upstream() -> Any:
    """mlx-vlm's whole Mistral3 with the weights of `build()`."""
    config = tiny_config()
    text = mistral3.TextConfig.from_dict(config["text_config"])
    eyes = mistral3.VisionConfig.from_dict(config["vision_config"])
    whole = mistral3.ModelConfig(
        text_config=text, vision_config=eyes, model_type="mistral3", image_token_index=10
    )
    model = mistral3.Model(whole)
    model.load_weights(list(random_weights(config, dtype=mx.float32).items()))
    return model


@pytest.mark.parametrize(("height", "width"), [(28, 28), (28, 140), (196, 56), (84, 112)])
def test_features_equal_those_of_mlx_vlm(model: MagistralModel, height: int, width: int) -> None:
    pixels = image(height, width)
    theirs = upstream()
    *_, states = theirs.vision_tower(
        pixels.transpose(1, 2, 0)[None], output_hidden_states=True, image_sizes=[(height, width)]
    )
    expected = theirs.multi_modal_projector(states[-1], [(height, width)])
    assert difference(model.encode_image(pixels), expected) < 1e-5


def test_one_at_a_time_equals_mlx_vlm_with_both_packed(model: MagistralModel) -> None:
    """mlx-vlm masks two images apart; without a mask the same numbers come out."""
    theirs, sizes = upstream(), [(56, 84), (84, 28)]
    packed = mx.zeros((2, 3, 84, 84))
    for index, (height, width) in enumerate(sizes):
        packed[index, :, :height, :width] = image(height, width, seed=index)
    *_, states = theirs.vision_tower(
        packed.transpose(0, 2, 3, 1), output_hidden_states=True, image_sizes=sizes
    )
    expected = theirs.multi_modal_projector(states[-1], sizes)
    ours = [model.encode_image(image(*size, seed=index)) for index, size in enumerate(sizes)]
    assert difference(mx.concatenate(ours), expected) < 1e-5


def test_places_are_told_apart(model: MagistralModel) -> None:
    """The same patch in another place gives another feature: both rotary axes are at work."""
    patch = mx.random.normal((3, 28, 28), key=mx.random.key(9))
    features = model.encode_image(mx.tile(patch, (1, 2, 2)))
    for other in (1, 2, 3):
        assert difference(features[0], features[other]) > 1e-4


@pytest.mark.parametrize(
    "shape", [(3, 27, 28), (3, 28, 42), (1, 28, 28), (4, 28, 28), (3, 0, 28), (3, 28, 0), (3, 1568, 28)]
)
def test_a_size_that_was_not_prepared_is_refused(model: MagistralModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match="multiples of 28 up to 1540"):
        model.encode_image(mx.zeros(shape))


def test_features_have_the_dtype_of_the_weights(model: MagistralModel) -> None:
    half = build()
    half.set_dtype(mx.bfloat16)
    features = half.encode_image(image(56, 84))
    assert features.dtype == mx.bfloat16
    assert difference(features.astype(mx.float32), model.encode_image(image(56, 84))) < 0.1


def unfolded(grid: mx.array, merge: int) -> list[list[float]]:
    """torch.nn.functional.unfold with kernel = stride = merge, in plain loops: channel, row, column."""
    rows, columns, hidden = grid.shape
    return [
        [
            float(grid[top + down, left + right, channel].item())
            for channel in range(hidden)
            for down in range(merge)
            for right in range(merge)
        ]
        for top in range(0, rows, merge)
        for left in range(0, columns, merge)
    ]


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 3), columns=st.integers(1, 3), hidden=st.integers(1, 3), merge=st.integers(1, 3))
def test_the_merger_takes_squares_in_the_order_of_unfold(
    rows: int, columns: int, hidden: int, merge: int
) -> None:
    grid = mx.random.normal((rows * merge, columns * merge, hidden))
    merger = PatchMerger(hidden, merge)
    expected = mx.array(unfolded(grid, merge)) @ merger.merging_layer.weight.T
    assert difference(merger(grid), expected) < 1e-5


def test_blocks_of_queries_change_nothing(model: MagistralModel, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = model.encode_image(image(84, 112))
    monkeypatch.setattr(vision, "SCORE_BYTES", 4 * 48 * 4 * 7)  # 7 of the 48 patches at a time
    assert difference(model.encode_image(image(84, 112)), whole) < 1e-5


def test_memory_does_not_grow_with_the_square_of_the_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times the patches take about four times the memory; scores or a mask would take sixteen."""
    monkeypatch.setattr(vision, "SCORE_BYTES", 2**18)
    model = build(num_hidden_layers=1)
    assert model.config.vision is not None
    mx.eval(model.parameters())
    peaks: list[int] = []
    for side in (196, 392):
        pixels = image(side, side)
        mx.eval(pixels)
        before = mx.get_active_memory()
        mx.reset_peak_memory()
        for _ in patches_by_layer(model.vision_tower, pixels, model.config.vision):
            pass
        peaks.append(mx.get_peak_memory() - before)
    assert peaks[1] < 6 * peaks[0]
    assert peaks[1] < 4 * 784**2 * 4, "less than one float32 score per pair of patches and head"
