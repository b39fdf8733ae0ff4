"""Greedy generation for many prompts at once, for probes and evaluation."""

import torch
from torch import Tensor

from magistral_miniature.training.decoder import Cache, Decoder

__all__ = ["greedy"]

_END, _PAD = 2, 11


@torch.no_grad()
def greedy(
    decoder: Decoder, prompts: list[list[int]], features: list[Tensor], limit: int = 700
) -> list[list[int]]:
    """Continue every prompt until `</s>` or the limit.

    Args:
        decoder: the model.
        prompts: token ids.
        features: for each prompt the features of its [IMG] ids, [count, hidden].
        limit: largest number of new ids for a prompt.

    Returns:
        New ids of each prompt, without `</s>`.
    """
    longest = max(map(len, prompts))
    padding = torch.tensor([longest - len(prompt) for prompt in prompts])
    ids = torch.tensor([[_PAD] * (longest - len(p)) + p for p in prompts])
    cache, states = _prefill(decoder, ids, torch.cat(features), padding)
    produced: list[list[int]] = [[] for _ in prompts]
    rows = list(range(len(prompts)))
    for position in range(longest, longest + limit):
        tokens = decoder.lm_head(states[:, -1]).argmax(-1)
        kept = []
        for place, token in enumerate(tokens.tolist()):
            if token != _END:
                produced[rows[place]].append(token)
                kept.append(place)
        if not kept:
            break
        if len(kept) < len(rows):
            rows = [rows[place] for place in kept]
            index = torch.tensor(kept)
            tokens, padding = tokens[index], padding[index]
            cache = [(key[index], value[index]) for key, value in cache]
        cache, states = _step(decoder, tokens[:, None], cache, padding, position)
    return produced


def _prefill(decoder: Decoder, ids: Tensor, features: Tensor, padding: Tensor) -> tuple[Cache, Tensor]:
    shape = decoder.shape
    nothing = torch.zeros(len(ids), shape.key_value_heads, 0, shape.head_dim)
    cache = [(nothing, nothing)] * shape.layers
    return _run(decoder, decoder.embed(ids, features), cache, padding, 0)


def _step(
    decoder: Decoder, ids: Tensor, cache: Cache, padding: Tensor, position: int
) -> tuple[Cache, Tensor]:
    return _run(decoder, decoder.model.embed_tokens(ids), cache, padding, position)


def _run(decoder: Decoder, x: Tensor, cache: Cache, padding: Tensor, start: int) -> tuple[Cache, Tensor]:
    stop = start + x.shape[1]
    cosine, sine = decoder.positions(start, stop)
    query, key = torch.arange(start, stop)[:, None], torch.arange(stop)
    hidden = (key > query) | (key < padding[:, None, None])
    bias = torch.where(hidden, -1e4, 0.0)[:, None, None]
    grown: Cache = []
    for layer, past in zip(decoder.model.layers, cache, strict=True):
        x, new = layer.step(x, cosine, sine, bias, past)
        grown.append(new)
    return grown, decoder.model.norm(x[:, -1:])
