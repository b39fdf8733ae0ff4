"""The vision tower: pixels of one image -> features for its [IMG] positions.

The tower's modules, and so its parameter names, are mlx-vlm's Pixtral; this is the only file that imports
mlx-vlm. The forward pass is ours. It takes one image at a time, and attention needs no mask: mlx-vlm
packs images into one sequence and builds an additive mask that grows with the square of all patches.

What is relied on (tests/model/test_upstream_contract.py): `VisionModel(VisionConfig)` holds
`vision_model` with `patch_conv`, `ln_pre` and `transformer.layers`, each of those with `attention_norm`,
`attention.{q,k,v,o}_proj`, `ffn_norm` and `feed_forward`.
"""

# pyright: reportUnknownMemberType=false
# Reason: mlx leaves *shape, *axes and *args of its array methods without types.

from collections.abc import Generator
from typing import cast

import mlx.core as mx
import mlx.nn as nn
from mlx_vlm.models.pixtral import vision as pixtral
from mlx_vlm.models.pixtral.config import VisionConfig as PixtralConfig

from magistral_mlx.checkpoint.config import ModelConfig, VisionConfig

SCORE_BYTES = 256 * 2**20
"""Most memory for attention scores at once where attention is not one fused kernel (the CPU)."""


def build_tower(vision: VisionConfig) -> nn.Module:
    """An empty tower; its parameters are named `vision_model.*`."""
    return pixtral.VisionModel(
        PixtralConfig(
            num_hidden_layers=vision.num_hidden_layers,
            hidden_size=vision.hidden_size,
            head_dim=vision.head_dim,
            intermediate_size=vision.intermediate_size,
            num_attention_heads=vision.num_attention_heads,
            # mlx-vlm makes a table of rotary angles for all places of this size; ours come per image.
            image_size=vision.patch_size,
            patch_size=vision.patch_size,
            num_channels=vision.num_channels,
            rms_norm_eps=vision.rms_norm_eps,
            rope_theta=vision.rope_theta,
        )
    )


class PatchMerger(nn.Module):
    """Merges each square of `merge` x `merge` neighbouring patches into one feature."""

    def __init__(self, hidden: int, merge: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # mlx leaves it unannotated
        self.merge = merge
        self.merging_layer = nn.Linear(hidden * merge**2, hidden, bias=False)

    def __call__(self, patches: mx.array) -> mx.array:
        """[rows, columns, hidden] in patches -> [merged rows * merged columns, hidden]."""
        rows, columns, hidden = patches.shape
        m = self.merge
        # The order of torch.nn.functional.unfold, which the weights were trained with: channels outermost.
        squares = patches.reshape(rows // m, m, columns // m, m, hidden).transpose(0, 2, 4, 1, 3)
        return self.merging_layer(squares.reshape(-1, hidden * m * m))


class Projector(nn.Module):
    """From the tower's width to the decoder's."""

    def __init__(self, config: ModelConfig, vision: VisionConfig) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # mlx leaves it unannotated
        self.norm = nn.RMSNorm(vision.hidden_size, eps=config.text.rms_norm_eps)
        self.patch_merger = PatchMerger(vision.hidden_size, config.spatial_merge_size)
        self.linear_1 = nn.Linear(vision.hidden_size, config.text.hidden_size, bias=False)
        self.linear_2 = nn.Linear(config.text.hidden_size, config.text.hidden_size, bias=False)

    def __call__(self, patches: mx.array) -> mx.array:
        """[rows, columns, vision hidden] in patches -> [merged places, text hidden]."""
        merged = self.linear_1(self.patch_merger(self.norm(patches)))
        return self.linear_2(nn.gelu(merged))  # the exact GELU (erf), not an approximation


def patches_by_layer(
    tower: nn.Module, pixels: mx.array, vision: VisionConfig
) -> Generator[None, None, mx.array]:
    """[3, height, width] -> [rows, columns, hidden], a row and a column per patch; one image alone.

    Computed layer by layer: whoever runs it may leave after any layer.
    """
    model = cast(pixtral.VisionModel, tower).vision_model
    rows, columns = pixels.shape[1] // vision.patch_size, pixels.shape[2] // vision.patch_size
    angles = _angles(rows, columns, vision)
    states = model.ln_pre(_patches(model.patch_conv.weight, pixels))[None]
    cosines, sines = mx.cos(angles).astype(states.dtype), mx.sin(angles).astype(states.dtype)
    for layer in model.transformer.layers:
        states = states + _attention(layer.attention, layer.attention_norm(states), cosines, sines)
        states = states + layer.feed_forward(layer.ffn_norm(states))
        mx.eval(states)
        yield
    patches: mx.array = states.reshape(rows, columns, -1)
    return patches


def _patches(kernel: mx.array, pixels: mx.array) -> mx.array:
    """The convolution whose stride is its kernel, as one matrix product.

    Kernel [hidden, patch, patch, channels], pixels [channels, height, width] -> [rows * columns, hidden].
    """
    hidden, patch, _, channels = kernel.shape
    rows, columns = pixels.shape[1] // patch, pixels.shape[2] // patch
    cut = pixels.astype(kernel.dtype).reshape(channels, rows, patch, columns, patch)
    cut = cut.transpose(1, 3, 2, 4, 0).reshape(rows * columns, patch * patch * channels)
    return cut @ kernel.reshape(hidden, -1).T


def _angles(rows: int, columns: int, vision: VisionConfig) -> mx.array:
    """Rotary angles [rows * columns, head_dim / 2]: first half by row, second by column.

    Rows take the even and columns the odd ones of the head's frequencies (PixtralRotaryEmbedding).
    """
    exponents = mx.arange(0, vision.head_dim, 2, dtype=mx.float32) / vision.head_dim
    frequencies = 1.0 / (vision.rope_theta**exponents)
    by_row = mx.arange(rows, dtype=mx.float32)[:, None] * frequencies[0::2]
    by_column = mx.arange(columns, dtype=mx.float32)[:, None] * frequencies[1::2]
    quarter = vision.head_dim // 4
    grid = (rows, columns, quarter)
    both = [mx.broadcast_to(by_row[:, None], grid), mx.broadcast_to(by_column[None], grid)]
    return mx.concatenate(both, axis=-1).reshape(rows * columns, 2 * quarter)


def _attention(
    attention: pixtral.Attention, states: mx.array, cosines: mx.array, sines: mx.array
) -> mx.array:
    """Full attention of all patches of one image; [1, patches, hidden] -> the same shape."""
    _, patches, hidden = states.shape

    def heads(x: mx.array) -> mx.array:
        return x.reshape(1, patches, attention.num_heads, -1).transpose(0, 2, 1, 3)

    queries = _rotate(heads(attention.q_proj(states)), cosines, sines)
    keys = _rotate(heads(attention.k_proj(states)), cosines, sines)
    values = heads(attention.v_proj(states))
    output = _softmax_attention(queries, keys, values, scale=attention.scale)
    return attention.o_proj(output.transpose(0, 2, 1, 3).reshape(1, patches, hidden))


def _rotate(x: mx.array, cosines: mx.array, sines: mx.array) -> mx.array:
    """Rotate element i with element i + head_dim / 2 (the rotate-half order of Transformers)."""
    first, second = mx.split(x, 2, axis=-1)
    return mx.concatenate([first * cosines - second * sines, second * cosines + first * sines], axis=-1)


def _softmax_attention(queries: mx.array, keys: mx.array, values: mx.array, *, scale: float) -> mx.array:
    """[1, heads, patches, head_dim] each, no mask.

    A GPU runs one fused kernel and never holds the scores. The CPU holds them: there the queries go in
    blocks, so that scores take `SCORE_BYTES`, not 9 GB for the largest image.
    """
    _, heads, patches, _ = queries.shape
    block = max(SCORE_BYTES // (heads * patches * 4), 1)
    if mx.default_device() == mx.Device(mx.gpu) or block >= patches:
        return mx.fast.scaled_dot_product_attention(queries, keys, values, scale=scale)
    blocks: list[mx.array] = []
    for start in range(0, patches, block):
        rows = queries[:, :, start : start + block]
        blocks.append(mx.fast.scaled_dot_product_attention(rows, keys, values, scale=scale))
        mx.eval(blocks[-1])  # else the scheduler may hold the scores of many blocks at once
    return mx.concatenate(blocks, axis=2)
