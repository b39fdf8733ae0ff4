"""The vision tower (Pixtral) with patch merger and projector, for batches of images of one size.

Mathematics and parameter names are those of Transformers' Mistral3 (test: `export.py --check`). All images
of a batch have one size, and attention needs no mask.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from magistral_miniature.training.shape import Shape

__all__ = ["VisionTower", "rotate"]


def rotate(states: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Apply rotary positions in the half-split layout; cosine and sine broadcast to states."""
    first, second = states.chunk(2, dim=-1)
    return states * cosine + torch.cat((-second, first), dim=-1) * sine


class _Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, width = shape.vision_heads, shape.vision_hidden
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        batch, length, width = x.shape

        def split(y: Tensor) -> Tensor:
            return y.view(batch, length, self.heads, -1).transpose(1, 2)

        query = rotate(split(self.q_proj(x)), cosine, sine)
        key = rotate(split(self.k_proj(x)), cosine, sine)
        scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        weights = scores.float().softmax(-1).to(x.dtype)
        mixed = weights @ split(self.v_proj(x)).to(weights.dtype)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, width))


class _FeedForward(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.vision_hidden, shape.vision_intermediate, bias=False)
        self.up_proj = nn.Linear(shape.vision_hidden, shape.vision_intermediate, bias=False)
        self.down_proj = nn.Linear(shape.vision_intermediate, shape.vision_hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class _Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(shape.vision_hidden, eps=1e-5)
        self.attention = _Attention(shape)
        self.ffn_norm = nn.RMSNorm(shape.vision_hidden, eps=1e-5)
        self.feed_forward = _FeedForward(shape)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x), cosine, sine)
        return x + self.feed_forward(self.ffn_norm(x))


class _Transformer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Layer(shape) for _ in range(shape.vision_layers))


class _Pixtral(nn.Module):
    """Pixtral: pixels [batch, 3, height, width] -> patches [batch, rows * columns, vision_hidden]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.patch_conv = nn.Conv2d(3, shape.vision_hidden, shape.patch, shape.patch, bias=False)
        self.ln_pre = nn.RMSNorm(shape.vision_hidden, eps=1e-5)
        self.transformer = _Transformer(shape)

    def positions(self, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """Return cosine and sine [rows * columns, head_dim]; even frequencies are for rows."""
        size = self.shape.vision_head_dim
        frequencies = self.shape.rope_base ** -(torch.arange(0, size, 2).float() / size)
        by_row = torch.outer(torch.arange(rows).float(), frequencies[::2])
        by_column = torch.outer(torch.arange(columns).float(), frequencies[1::2])
        angles = torch.cat(
            (
                by_row[:, None].expand(rows, columns, -1),
                by_column[None].expand(rows, columns, -1),
            ),
            dim=-1,
        ).reshape(rows * columns, -1)
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos(), angles.sin()

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.patch_conv(pixels)
        cosine, sine = self.positions(patches.shape[2], patches.shape[3])
        x = self.ln_pre(patches.flatten(2).transpose(1, 2))
        for layer in self.transformer.layers:
            x = layer(x, cosine.to(x.dtype), sine.to(x.dtype))
        return x


class _Merger(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        wide = shape.vision_hidden * shape.merge**2
        self.merging_layer = nn.Linear(wide, shape.vision_hidden, bias=False)


class _Projector(nn.Module):
    """Norm, 2 x 2 merge (channel-major, as `unfold` orders it), two linear layers with GELU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(shape.vision_hidden, eps=shape.norm_epsilon)
        self.patch_merger = _Merger(shape)
        self.linear_1 = nn.Linear(shape.vision_hidden, shape.hidden, bias=False)
        self.linear_2 = nn.Linear(shape.hidden, shape.hidden, bias=False)

    def forward(self, patches: Tensor, rows: int, columns: int) -> Tensor:
        batch, _, width = patches.shape
        grid = self.norm(patches).view(batch, rows // 2, 2, columns // 2, 2, width)
        blocks = grid.permute(0, 1, 3, 5, 2, 4).reshape(batch, rows * columns // 4, width * 4)
        merged = self.patch_merger.merging_layer(blocks)
        return self.linear_2(functional.gelu(self.linear_1(merged)))


class VisionTower(nn.Module):
    """Tower, merger and projector: one feature for the decoder per cell of 28 x 28 px."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.vision_tower = _Pixtral(shape)
        self.multi_modal_projector = _Projector(shape)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map normalised pixels [batch, 3, height, width] to features [batch, cells, hidden]."""
        patch = self.vision_tower.shape.patch
        rows, columns = pixels.shape[2] // patch, pixels.shape[3] // patch
        return self.multi_modal_projector(self.vision_tower(pixels), rows, columns)
