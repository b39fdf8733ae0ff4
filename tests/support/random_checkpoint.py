"""Random tiny Mistral3 checkpoints, as Hugging Face folders and as converted ones.

    write_source(tmp_path / "hf")                     what `magistral convert` takes
    write_converted(tmp_path / "mlx", bits=4)         what `open_checkpoint` takes, without our converter

Both hold the same weights for the same seed, so that a test can compare what a conversion made of them.
"""

# pyright: reportUnknownMemberType=false
# Reason: mlx leaves *shape and *axes of its array methods without types.

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx

from magistral_mlx.checkpoint.config import parse_config
from magistral_mlx.checkpoint.parameters import VISION_PREFIXES, parameter_shapes
from support.tekken import SYSTEM_PROMPT, VOCAB_SIZE, write_tekken

CONFIG: Mapping[str, Any] = {
    "architectures": ["Mistral3ForConditionalGeneration"],
    "image_token_index": 10,
    "model_type": "mistral3",
    "multimodal_projector_bias": False,
    "projector_hidden_act": "gelu",
    "spatial_merge_size": 2,
    "text_config": {
        "head_dim": 32,
        "hidden_act": "silu",
        "hidden_size": 64,
        "intermediate_size": 128,
        "max_position_embeddings": 4096,
        "model_type": "mistral",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-05,
        "rope_theta": 1000000000.0,
        "sliding_window": None,
        "vocab_size": VOCAB_SIZE,
    },
    "torch_dtype": "bfloat16",
    "vision_config": {
        "head_dim": 16,
        "hidden_act": "silu",
        "hidden_size": 64,
        "image_size": 1540,
        "intermediate_size": 128,
        "model_type": "pixtral",
        "num_attention_heads": 4,
        "num_channels": 3,
        "num_hidden_layers": 2,
        "patch_size": 14,
        "rope_theta": 10000.0,
    },
    "vision_feature_layer": -1,
}
"""`config.json` in Transformers 4's style. Widths are multiples of 64, so every group size fits."""


def tiny_config(*, vision: bool = True, style: int = 4, **changes: Any) -> dict[str, Any]:
    """A copy of `CONFIG`; `style` 5 spells it as Transformers 5 does; `changes` replace top-level keys."""
    config = copy.deepcopy(dict(CONFIG))
    if style == 5:
        config["dtype"] = config.pop("torch_dtype")
        for section, kind in (("text_config", "default"), ("vision_config", "axial")):
            theta = config[section].pop("rope_theta")
            config[section]["rope_parameters"] = {"rope_theta": theta, "rope_type": kind}
    if not vision:
        del config["vision_config"]
    return config | changes


def random_weights(
    config: Mapping[str, Any], *, seed: int = 0, dtype: mx.Dtype = mx.bfloat16
) -> dict[str, mx.array]:
    """Every parameter under its converted name, in MLX's layout; norms near 1, logits of scale 1."""
    key = mx.random.key(seed)
    weights: dict[str, mx.array] = {}
    for name, shape in parameter_shapes(parse_config(config)).items():
        key, own = mx.random.split(key)
        normal = mx.random.normal(shape, key=own)
        weights[name] = (1 + 0.1 * normal if len(shape) == 1 else normal * shape[-1] ** -0.5).astype(dtype)
    return weights


def source_name(name: str, *, new_style: bool = False) -> str:
    """A converted folder's name -> the name in a Hugging Face file, old style or new."""
    name = name.replace("vision_tower.vision_model.", "vision_tower.")
    if not new_style:
        return name
    if name == "language_model.lm_head.weight":
        return "lm_head.weight"
    return "model." + name.replace("language_model.model.", "language_model.")


def write_source(
    directory: Path,
    *,
    config: Mapping[str, Any] | None = None,
    weights: Mapping[str, mx.array] | None = None,
    new_style: bool = False,
    shards: int = 1,
    seed: int = 0,
    dtype: mx.Dtype = mx.bfloat16,
) -> Path:
    """A Hugging Face folder in the form of mistralai/Magistral-Small-2509, in `shards` weight files."""
    config = config or tiny_config()
    weights = weights or random_weights(config, seed=seed, dtype=dtype)
    stored = {
        source_name(name, new_style=new_style): array.transpose(0, 3, 1, 2) if array.ndim == 4 else array
        for name, array in weights.items()
    }
    return _write(directory, config=config, stored=stored, shards=shards)


def write_converted(
    directory: Path,
    *,
    config: Mapping[str, Any] | None = None,
    weights: Mapping[str, mx.array] | None = None,
    bits: int = 16,
    group_size: int = 64,
    mode: str = "affine",
    shards: int = 1,
    seed: int = 0,
    dtype: mx.Dtype = mx.bfloat16,
) -> Path:
    """A converted folder: text modules packed in `bits` unless 16, vision and projector as they are."""
    config = dict(config or tiny_config())
    weights = weights or random_weights(config, seed=seed, dtype=dtype)
    stored: dict[str, mx.array] = {}
    packing = {"bits": bits, "group_size": group_size, "mode": mode}
    overrides: dict[str, bool] = {}
    for name, array in weights.items():
        path = name.removesuffix(".weight")
        if bits == 16 or array.ndim != 2 or name.startswith(VISION_PREFIXES):
            stored[name] = array
            overrides |= {path: False} if array.ndim == 2 else {}
            continue
        packed = mx.quantize(array, group_size=group_size, bits=bits, mode=mode)
        stored |= dict(zip((name, f"{path}.scales", f"{path}.biases"), packed, strict=False))
    if bits != 16:
        config["quantization"] = packing | overrides
    return _write(directory, config=config, stored=stored, shards=shards)


def _write(
    directory: Path, *, config: Mapping[str, Any], stored: Mapping[str, mx.array], shards: int
) -> Path:
    write_tekken(directory)
    (directory / "config.json").write_text(json.dumps(config), "utf-8")
    (directory / "SYSTEM_PROMPT.txt").write_text(SYSTEM_PROMPT, "utf-8")
    names = sorted(stored)
    places: dict[str, str] = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = {name: mx.contiguous(stored[name]) for name in names[shard::shards]}
        mx.save_safetensors(str(directory / file), part, {"format": "pt"})
        places |= dict.fromkeys(part, file)
    index = {"metadata": {"total_size": sum(array.nbytes for array in stored.values())}, "weight_map": places}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    return directory
