"""What this project relies on in mlx, mlx-lm and mlx-vlm. A failure here after an upgrade names the cause."""

import inspect
from dataclasses import fields
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten
from mlx_lm.generate import generate_step
from mlx_lm.models import base, llama
from mlx_lm.models import mistral3 as text_only
from mlx_lm.models.cache import KVCache, QuantizedKVCache
from mlx_vlm.models import mistral3
from mlx_vlm.models.pixtral import vision as pixtral
from mlx_vlm.models.pixtral.config import VisionConfig

from magistral_mlx.checkpoint.config import parse_config
from magistral_mlx.checkpoint.parameters import parameter_shapes
from support.random_checkpoint import tiny_config


def names(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in tree_flatten(model.parameters())}


def test_mlx_lm_llama_takes_our_arguments_and_calls() -> None:
    taken = {field.name for field in fields(llama.ModelArgs)}
    assert taken >= {
        "model_type",
        "hidden_size",
        "num_hidden_layers",
        "intermediate_size",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "rms_norm_eps",
        "vocab_size",
        "max_position_embeddings",
        "rope_theta",
        "rope_traditional",
        "tie_word_embeddings",
    }
    for model in (llama.Model, llama.LlamaModel):
        assert list(inspect.signature(model.__call__).parameters)[1:] == [
            "inputs",
            "cache",
            "input_embeddings",
        ]


def test_mlx_lm_names_its_parameters_as_our_folder_does() -> None:
    raw = tiny_config(vision=False)
    model = text_only.Model(text_only.ModelArgs.from_dict(raw))
    assert names(model) == parameter_shapes(parse_config(raw))


def test_mlx_lm_reads_our_flat_rope_theta() -> None:
    """It ignores `rope_parameters` and would fall back to 10,000: hence the flat key in converted folders."""
    model: Any = text_only.Model(text_only.ModelArgs.from_dict(tiny_config(vision=False)))
    assert model.layers[0].self_attn.rope.base == 1e9


def test_mlx_vlm_names_its_parameters_as_our_folder_does() -> None:
    raw = tiny_config()
    config = mistral3.ModelConfig(
        text_config=mistral3.TextConfig.from_dict(raw["text_config"]),
        vision_config=mistral3.VisionConfig.from_dict(raw["vision_config"]),
        model_type="mistral3",
        image_token_index=10,
    )
    assert names(mistral3.Model(config)) == parameter_shapes(parse_config(raw))


def test_mlx_vlm_tower_has_the_modules_that_our_forward_calls() -> None:
    tower = pixtral.VisionModel(
        VisionConfig(num_hidden_layers=1, hidden_size=64, num_attention_heads=4, head_dim=16)
    )
    model: Any = tower.vision_model
    layer = model.transformer.layers[0]
    assert isinstance(model.patch_conv, nn.Conv2d)
    assert model.patch_conv.weight.shape == (64, 14, 14, 3)
    assert (model.ln_pre.eps, layer.attention_norm.eps, layer.ffn_norm.eps) == (1e-5, 1e-5, 1e-5)
    assert (layer.attention.num_heads, layer.attention.scale) == (4, 16**-0.5)
    for projection in ("q_proj", "k_proj", "v_proj", "o_proj"):
        assert isinstance(layer.attention[projection], nn.Linear)
    assert layer.feed_forward(mx.zeros((1, 2, 64))).shape == (1, 2, 64)


def test_the_cache_counts_trims_and_tells_its_state() -> None:
    cache = KVCache()
    assert (cache.offset, cache.nbytes, cache.is_trimmable()) == (0, 0, True)
    keys = mx.random.normal((1, 2, 5, 8))
    cache.update_and_fetch(keys, keys)
    assert cache.trim(2) == 2
    assert cache.offset == 3
    buffer_keys, buffer_values, offset = cache.state
    assert (buffer_keys.shape, buffer_values.shape, offset) == ((1, 2, 256, 8), (1, 2, 256, 8), 3)
    fetched, _ = cache.update_and_fetch(keys[:, :, :1], keys[:, :, :1])
    assert mx.array_equal(fetched, mx.concatenate([keys[:, :, :3], keys[:, :, :1]], axis=2))
    assert cache.nbytes == 2 * 2 * 256 * 8 * 4
    assert cache.trim(100) == 4


def test_the_packed_cache_counts_trims_and_tells_its_state() -> None:
    cache = QuantizedKVCache(group_size=32, bits=8)
    assert cache.empty()
    keys = mx.random.normal((1, 2, 5, 32))
    cache.update_and_fetch(keys, keys)
    assert cache.trim(2) == 2
    packed_keys, _ = cache.update_and_fetch(keys[:, :, :1], keys[:, :, :1])
    assert (cache.offset, len(packed_keys), cache.make_mask(1, return_array=False, window_size=None)) == (
        4,
        3,
        None,
    )
    unpacked = mx.dequantize(*packed_keys, group_size=32, bits=8)
    expected = mx.concatenate([keys[:, :, :3], keys[:, :, :1]], axis=2)
    assert mx.abs(unpacked - expected).max().item() < 0.05
    packed = KVCache()
    packed.update_and_fetch(keys, keys)
    assert packed.to_quantized(group_size=32, bits=4).offset == 5


def test_attention_takes_a_cache_with_bits_for_packed_and_one_without_for_not() -> None:
    queries = mx.random.normal((1, 4, 3, 32))
    keys = mx.random.normal((1, 2, 3, 32))
    cache = QuantizedKVCache(group_size=32, bits=8)
    packed = cache.update_and_fetch(keys, keys)
    plain = base.scaled_dot_product_attention(queries, keys, keys, None, scale=1.0, mask="causal")
    quantized = base.scaled_dot_product_attention(queries * 1, *packed, cache, scale=1.0, mask="causal")
    assert mx.abs(plain - quantized).max().item() < 0.1


def test_generate_step_takes_what_the_benchmarks_and_the_peers_tests_give() -> None:
    taken = inspect.signature(generate_step).parameters
    assert set(taken) >= {"prompt", "model", "max_tokens", "sampler", "prompt_cache", "input_embeddings"}


def test_quantize_asks_for_each_module_and_takes_its_packing() -> None:
    model = nn.Sequential(nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False), nn.Embedding(8, 64))
    asked: list[str] = []

    def packing(path: str, module: nn.Module) -> bool | dict[str, Any]:
        if not hasattr(module, "to_quantized"):
            return False
        asked.append(path)
        return {"group_size": 32, "bits": 8, "mode": "affine"} if path == "layers.1" else path == "layers.2"

    nn.quantize(model, class_predicate=packing)
    assert sorted(asked) == ["layers.0", "layers.1", "layers.2"]
    plain, packed, embedding = model.layers
    assert isinstance(plain, nn.Linear)
    assert isinstance(packed, nn.QuantizedLinear)
    assert (packed.bits, packed.group_size) == (8, 32)
    assert isinstance(embedding, nn.QuantizedEmbedding)
