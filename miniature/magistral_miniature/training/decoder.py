"""The decoder: Mistral's transformer, written for fast training on a CPU.

Mathematics and parameter names are those of Transformers' Mistral (test: `export.py --check`). Attention
uses explicit matrix products and folds the query heads of one key head together. On the CPUs used for
training this was twice as fast as the backward pass of the fused kernel.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from magistral_miniature.training.shape import Shape
from magistral_miniature.training.vision_tower import rotate

__all__ = ["Cache", "Decoder", "causal_bias"]

Cache = list[tuple[Tensor, Tensor]]
"""Keys and values [batch, key heads, length, head_dim] per layer."""


class _Norm(nn.Module):
    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon))


class _Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.size, self.keys = shape.head_dim, shape.key_value_heads
        self.folded = shape.heads // shape.key_value_heads
        inner, outer = shape.heads * shape.head_dim, shape.key_value_heads * shape.head_dim
        self.q_proj = nn.Linear(shape.hidden, inner, bias=False)
        self.k_proj = nn.Linear(shape.hidden, outer, bias=False)
        self.v_proj = nn.Linear(shape.hidden, outer, bias=False)
        self.o_proj = nn.Linear(inner, shape.hidden, bias=False)

    def project(self, x: Tensor, cosine: Tensor, sine: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [batch, keys, folded, length, size], keys and values [batch, keys, length, size]."""
        batch, length, _ = x.shape
        query = self.q_proj(x).view(batch, length, self.keys, self.folded, self.size)
        key = self.k_proj(x).view(batch, length, self.keys, self.size)
        value = self.v_proj(x).view(batch, length, self.keys, self.size)
        query = rotate(query.permute(0, 2, 3, 1, 4), cosine, sine)
        return query, rotate(key.transpose(1, 2), cosine, sine), value.transpose(1, 2)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Mix values; bias [.., 1, length, key length] is added to the scaled scores.

        Returns:
            The mix, and scores [batch, keys, length, key length] of the first query head of each.
        """
        batch, keys, folded, length, size = query.shape
        flat = query.reshape(batch, keys, folded * length, size)
        scores = (flat @ key.transpose(-1, -2)).view(batch, keys, folded, length, -1)
        scores = scores.float() * size**-0.5 + bias
        weights = scores.softmax(-1).to(value.dtype)
        mixed = weights.view(batch, keys, folded * length, -1) @ value
        mixed = mixed.view(batch, keys, folded, length, size).permute(0, 3, 1, 2, 4)
        return self.o_proj(mixed.reshape(batch, length, keys * folded * size)), scores[:, :, 0]


class _FeedForward(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden, shape.intermediate, bias=False)
        self.up_proj = nn.Linear(shape.hidden, shape.intermediate, bias=False)
        self.down_proj = nn.Linear(shape.intermediate, shape.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class _Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = _Norm(shape.hidden, shape.norm_epsilon)
        self.self_attn = _Attention(shape)
        self.post_attention_layernorm = _Norm(shape.hidden, shape.norm_epsilon)
        self.mlp = _FeedForward(shape)

    def forward(
        self, x: Tensor, cosine: Tensor, sine: Tensor, bias: Tensor, look: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        query, key, value = self.self_attn.project(self.input_layernorm(x), cosine, sine)
        mixed, scores = self.self_attn.attend(query, key, value, bias)
        x = x + mixed
        return x + self.mlp(self.post_attention_layernorm(x)), scores if look else None

    def step(
        self, x: Tensor, cosine: Tensor, sine: Tensor, bias: Tensor, past: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run the layer with the keys and values of earlier positions."""
        query, key, value = self.self_attn.project(self.input_layernorm(x), cosine, sine)
        key, value = torch.cat((past[0], key), 2), torch.cat((past[1], value), 2)
        x = x + self.self_attn.attend(query, key, value, bias)[0]
        return x + self.mlp(self.post_attention_layernorm(x)), (key, value)


class _Model(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(_Layer(shape) for _ in range(shape.layers))
        self.norm = _Norm(shape.hidden, shape.norm_epsilon)


class Decoder(nn.Module):
    """Map token ids and image features to logits."""

    IMAGE = 10
    """Id of [IMG], whose embeddings are replaced by features."""

    LOOKING = 3
    """The layer with the query heads that learn where to look and which token to copy."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.model = _Model(shape)
        self.lm_head = nn.Linear(shape.hidden, shape.vocabulary, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                deep = name.endswith(("o_proj.weight", "down_proj.weight"))
                width = 0.0 if deep else 0.02 if "lm_head" in name else parameter.shape[1] ** -0.5
                nn.init.normal_(parameter, std=1.0 if "embed" in name else width)

    def embed(self, ids: Tensor, features: Tensor) -> Tensor:
        """Embed ids [batch, length]; features [count, hidden] fill the [IMG] places in order."""
        states = self.model.embed_tokens(ids)
        places = (ids == self.IMAGE).unsqueeze(-1)
        return states.masked_scatter(places, features.to(states.dtype))

    def positions(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Cosine and sine [stop - start, head_dim]."""
        size = self.shape.head_dim
        frequencies = self.shape.rope_base ** -(torch.arange(0, size, 2).float() / size)
        angles = torch.outer(torch.arange(start, stop).float(), frequencies)
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos(), angles.sin()

    def forward(self, ids: Tensor, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the model.

        Returns:
            Normed states [batch, length, hidden]; the states before layer `LOOKING`; the scores of
            that layer's first query heads [batch, key heads, length, length].
        """
        x = self.embed(ids, features)
        cosine, sine = self.positions(0, ids.shape[1])
        bias = causal_bias(ids.shape[1])
        early = scores = x
        for number, layer in enumerate(self.model.layers):
            if number == self.LOOKING:
                early = x
            x, seen = layer(x, cosine, sine, bias, number == self.LOOKING)
            scores = scores if seen is None else seen
        return self.model.norm(x), early, scores


def causal_bias(length: int) -> Tensor:
    """Return [length, length] with a large negative number for keys in the future."""
    return torch.full((length, length), -1e4).triu(1)
