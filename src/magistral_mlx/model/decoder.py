"""The language model: mlx-lm's Llama decoder with Mistral's dimensions.

No other file imports mlx-lm's model; its caches are in `kv_cache.py`. What is relied on
(tests/model/test_upstream_contract.py fails when it changes): `llama.Model` takes `ModelArgs`, holds `.model`
(with `.embed_tokens`) and `.lm_head`, and is called with ids, `cache` and `input_embeddings`; `.model.layers`
are called with states, a `mask` (of `create_attention_mask`) and a `cache`, `.model.norm` stands behind the
last.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# Reason: mlx leaves the arguments of eval, mlx-lm those of its mask without types.

from collections.abc import Generator
from typing import Any, cast

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.models import llama
from mlx_lm.models.base import create_attention_mask

from magistral_mlx.checkpoint.config import TextConfig
from magistral_mlx.model.kv_cache import LayerCache, for_reading

__all__ = [
    "build_decoder",
    "decode_by_layer",
    "decode_hidden",
    "decode_layer",
    "embed_tokens",
    "normalize",
    "project_to_vocabulary",
]


def build_decoder(text: TextConfig) -> nn.Module:
    """An empty decoder; its parameters are named `model.*` and `lm_head.*`."""
    return llama.Model(
        llama.ModelArgs(
            model_type="mistral",
            hidden_size=text.hidden_size,
            num_hidden_layers=text.num_hidden_layers,
            intermediate_size=text.intermediate_size,
            num_attention_heads=text.num_attention_heads,
            num_key_value_heads=text.num_key_value_heads,
            head_dim=text.head_dim,
            rms_norm_eps=text.rms_norm_eps,
            vocab_size=text.vocab_size,
            max_position_embeddings=text.max_position_embeddings,
            rope_theta=text.rope_theta,
            rope_traditional=False,
            tie_word_embeddings=False,
        )
    )


def embed_tokens(decoder: nn.Module, token_ids: mx.array) -> mx.array:
    """[..., n] -> [..., n, hidden]."""
    embeddings: mx.array = cast(llama.Model, decoder).model.embed_tokens(token_ids)
    return embeddings


def decode_hidden(
    decoder: nn.Module, token_ids: mx.array, *, cache: list[LayerCache] | None, embeddings: mx.array | None
) -> mx.array:
    """[1, n] (or embeddings [1, n, hidden]) -> normed hidden states [1, n, hidden]; `cache` grows by n."""
    model = cast(llama.Model, decoder).model
    layers = None if cache is None else for_reading(cache, token_ids.shape[1])
    hidden: mx.array = model(token_ids, cache=layers, input_embeddings=embeddings)
    return hidden


def decode_by_layer(
    decoder: nn.Module, token_ids: mx.array, *, cache: list[LayerCache], embeddings: mx.array | None
) -> Generator[None, None, mx.array]:
    """As `decode_hidden`, computed layer by layer: whoever runs it may leave after any layer."""
    model = cast(Any, cast(llama.Model, decoder).model)  # its stubs know no layers with masks
    states: mx.array = model.embed_tokens(token_ids) if embeddings is None else embeddings
    reading = for_reading(cache, token_ids.shape[1])
    mask = cast(Any, create_attention_mask)(states, reading[0])
    for layer, held, grown in zip(model.layers, reading, cache, strict=True):
        states = layer(states, mask, cache=held)
        mx.eval(states, grown.state)
        yield
    return cast(mx.array, model.norm(states))


def project_to_vocabulary(decoder: nn.Module, hidden: mx.array) -> mx.array:
    """[..., hidden] -> logits [..., vocab]."""
    logits: mx.array = cast(llama.Model, decoder).lm_head(hidden)
    return logits


def decode_layer(decoder: nn.Module, index: int, states: mx.array) -> mx.array:
    """[prompts, n, hidden] -> the same after layer `index` alone; every position sees those before it."""
    layer = cast(Any, cast(llama.Model, decoder).model.layers[index])  # its stub knows no mask by name
    after: mx.array = layer(states, mask="causal")
    return after


def normalize(decoder: nn.Module, states: mx.array) -> mx.array:
    """[..., hidden] after the last layer -> what the head reads."""
    normed: mx.array = cast(llama.Model, decoder).model.norm(states)
    return normed
