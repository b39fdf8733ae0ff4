"""GGUF files of a Hugging Face folder, written with the gguf library as llama.cpp's converter writes them."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter

from support.hf_checkpoint import read_folder
from support.native_checkpoint import hf_to_native, rotary_heads

TEXT = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.down_proj": "ffn_down",
    "mlp.up_proj": "ffn_up",
}
SIGHT = {
    "attention_norm": "ln1",
    "ffn_norm": "ln2",
    "attention.q_proj": "attn_q",
    "attention.k_proj": "attn_k",
    "attention.v_proj": "attn_v",
    "attention.o_proj": "attn_out",
    "feed_forward.gate_proj": "ffn_gate",
    "feed_forward.down_proj": "ffn_down",
    "feed_forward.up_proj": "ffn_up",
}
WHOLE = {
    "language_model.model.embed_tokens": "token_embd",
    "language_model.model.norm": "output_norm",
    "language_model.lm_head": "output",
    "vision_tower.patch_conv": "v.patch_embd",
    "vision_tower.ln_pre": "v.pre_ln",
    "multi_modal_projector.norm": "mm.input_norm",
    "multi_modal_projector.patch_merger.merging_layer": "mm.patch_merger",
    "multi_modal_projector.linear_1": "mm.1",
    "multi_modal_projector.linear_2": "mm.2",
}


def gguf_name(name: str) -> str:
    """A Hugging Face name on disk -> llama.cpp's."""
    path = name.removesuffix(".weight")
    if path in WHOLE:
        return WHOLE[path] + ".weight"
    for prefix, table, target in (
        ("language_model.model.layers.", TEXT, "blk."),
        ("vision_tower.transformer.layers.", SIGHT, "v.blk."),
    ):
        if path.startswith(prefix):
            number, _, rest = path.removeprefix(prefix).partition(".")
            return f"{target}{number}.{table[rest]}.weight"
    raise AssertionError(name)


def tensors_of(source: Path) -> dict[str, np.ndarray]:
    """Every tensor as float32 under its Hugging Face name, query and key rows in native order."""
    config = json.loads((source / "config.json").read_text())
    tensors: dict[str, np.ndarray] = {}
    for name, tensor in read_folder(source).items():
        values = tensor.floats()
        heads = rotary_heads(name, config)
        tensors[name] = values if heads is None else hf_to_native(values, heads)
    return tensors


def write_text(
    path: Path, source: Path, *, kind: str = "BF16", architecture: str = "llama", **changes: Any
) -> Path:
    """The text model; matrices in the type `kind`, norms in F32; `changes` replace metadata."""
    config = json.loads((source / "config.json").read_text())["text_config"]
    values: dict[str, Any] = {
        f"{architecture}.context_length": config["max_position_embeddings"],
        f"{architecture}.embedding_length": config["hidden_size"],
        f"{architecture}.block_count": config["num_hidden_layers"],
        f"{architecture}.feed_forward_length": config["intermediate_size"],
        f"{architecture}.attention.head_count": config["num_attention_heads"],
        f"{architecture}.attention.head_count_kv": config["num_key_value_heads"],
        f"{architecture}.attention.key_length": config["head_dim"],
        f"{architecture}.attention.layer_norm_rms_epsilon": config["rms_norm_eps"],
        f"{architecture}.rope.freq_base": config["rope_theta"],
        f"{architecture}.rope.dimension_count": config["head_dim"],
        f"{architecture}.vocab_size": config["vocab_size"],
        **_vocabulary(source),
    }
    tensors = {
        name: array for name, array in tensors_of(source).items() if name.startswith("language_model.")
    }
    return _write(path, architecture, values | changes, tensors, kind)


def write_eye(path: Path, source: Path, *, kind: str = "BF16", **changes: Any) -> Path:
    """The vision part."""
    config = json.loads((source / "config.json").read_text())
    vision = config["vision_config"]
    values: dict[str, Any] = {
        "clip.has_vision_encoder": True,
        "clip.projector_type": "pixtral",
        "clip.use_silu": True,
        "clip.vision.image_size": vision["image_size"],
        "clip.vision.patch_size": vision["patch_size"],
        "clip.vision.embedding_length": vision["hidden_size"],
        "clip.vision.feed_forward_length": vision["intermediate_size"],
        "clip.vision.block_count": vision["num_hidden_layers"],
        "clip.vision.attention.head_count": vision["num_attention_heads"],
        "clip.vision.attention.layer_norm_epsilon": 1e-5,
        "clip.vision.spatial_merge_size": config["spatial_merge_size"],
        "clip.vision.projection_dim": config["text_config"]["hidden_size"],
    }
    every = tensors_of(source)
    tensors = {name: array for name, array in every.items() if not name.startswith("language_model.")}
    row = every["language_model.model.embed_tokens.weight"][12]
    return _write(path, "clip", values | changes, tensors, kind, extra={"v.token_embd.img_break": row})


def _write(
    path: Path,
    architecture: str,
    values: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    kind: str,
    *,
    extra: Mapping[str, np.ndarray] | None = None,
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(path, architecture)
    for key, value in values.items():
        _add(writer, key, value)
    for name, array in tensors.items():
        packed = GGMLQuantizationType[kind] if array.ndim == 2 else GGMLQuantizationType.F32
        writer.add_tensor(gguf_name(name), gguf.quants.quantize(array, packed), raw_dtype=packed)
    for name, array in (extra or {}).items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: GGUFWriter, key: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    elif value is not None:
        writer.add_array(key, value)


def _vocabulary(source: Path) -> dict[str, Any]:
    """The tokenizer as llama.cpp stores it: GPT-2's spelling, types, and merges that nobody reads."""
    tekken = json.loads((source / "tekken.json").read_text())
    special = [token["token_str"] for token in tekken["special_tokens"]]
    text = [_spelled(base64.b64decode(token["token_bytes"])) for token in tekken["vocab"]]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "tekken",
        "tokenizer.ggml.tokens": special + text,
        "tokenizer.ggml.token_type": [3] * len(special) + [1] * len(text),
        "tokenizer.ggml.merges": ["a b", "c d"],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.chat_template": "{{ never used }}",
    }


def _spelled(piece: bytes) -> str:
    """GPT-2's `bytes_to_unicode`, as its authors wrote it."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    table, next_free = {value: chr(value) for value in plain}, 256
    for value in range(256):
        if value not in table:
            table[value], next_free = chr(next_free), next_free + 1
    return "".join(table[value] for value in piece)
