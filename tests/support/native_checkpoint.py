"""The same checkpoint in Mistral's own format, written from a Hugging Face folder and nothing of ours.

Names and permutation are spelled out by hand (Transformers' convert_mistral3_weights_to_hf.py, read
backwards), so that the converter's table is not its own witness.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from support.hf_checkpoint import RawTensor, read_folder, write_raw

TEXT = {
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
}
SIGHT = {
    "attention_norm": "attention_norm",
    "ffn_norm": "ffn_norm",
    "attention.q_proj": "attention.wq",
    "attention.k_proj": "attention.wk",
    "attention.v_proj": "attention.wv",
    "attention.o_proj": "attention.wo",
    "feed_forward.gate_proj": "feed_forward.w1",
    "feed_forward.down_proj": "feed_forward.w2",
    "feed_forward.up_proj": "feed_forward.w3",
}
WHOLE = {
    "language_model.model.embed_tokens": "tok_embeddings",
    "language_model.model.norm": "norm",
    "language_model.lm_head": "output",
    "vision_tower.patch_conv": "vision_encoder.patch_conv",
    "vision_tower.ln_pre": "vision_encoder.ln_pre",
    "multi_modal_projector.norm": "pre_mm_projector_norm",
    "multi_modal_projector.patch_merger.merging_layer": "patch_merger.merging_layer",
    "multi_modal_projector.linear_1": "vision_language_adapter.w_in",
    "multi_modal_projector.linear_2": "vision_language_adapter.w_out",
}


def native_name(name: str) -> str:
    """A Hugging Face name on disk -> the native one."""
    path = name.removesuffix(".weight")
    if path in WHOLE:
        return WHOLE[path] + ".weight"
    for prefix, table, target in (
        ("language_model.model.layers.", TEXT, "layers."),
        ("vision_tower.transformer.layers.", SIGHT, "vision_encoder.transformer.layers."),
    ):
        if path.startswith(prefix):
            number, _, rest = path.removeprefix(prefix).partition(".")
            return f"{target}{number}.{table[rest]}.weight"
    raise AssertionError(name)


def hf_to_native(matrix: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries or keys from halves to neighbours; also what llama.cpp does for GGUF."""
    rows, columns = matrix.shape
    return matrix.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def rotary_heads(name: str, config: dict[str, Any]) -> int | None:
    """How many heads a matrix has whose rows are turned; None for the others."""
    section = config["text_config"] if name.startswith("language_model.") else config["vision_config"]
    if name.endswith("q_proj.weight"):
        return section["num_attention_heads"]
    if name.endswith("k_proj.weight"):
        return section.get("num_key_value_heads", section["num_attention_heads"])
    return None


def native_params(config: dict[str, Any]) -> dict[str, Any]:
    """`params.json` for a `config.json`."""
    text, vision = config["text_config"], config.get("vision_config")
    params = {
        "dim": text["hidden_size"],
        "n_layers": text["num_hidden_layers"],
        "head_dim": text["head_dim"],
        "hidden_dim": text["intermediate_size"],
        "n_heads": text["num_attention_heads"],
        "n_kv_heads": text["num_key_value_heads"],
        "rope_theta": text["rope_theta"],
        "norm_eps": text["rms_norm_eps"],
        "vocab_size": text["vocab_size"],
        "max_position_embeddings": text["max_position_embeddings"],
    }
    if vision is None:
        return params
    return params | {
        "vision_encoder": {
            "hidden_size": vision["hidden_size"],
            "num_channels": 3,
            "max_image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
            "rope_theta": vision["rope_theta"],
            "intermediate_size": vision["intermediate_size"],
            "num_hidden_layers": vision["num_hidden_layers"],
            "num_attention_heads": vision["num_attention_heads"],
            "adapter_bias": False,
            "mm_projector_id": "patch_merge",
            "spatial_merge_size": config["spatial_merge_size"],
            "add_pre_mm_projector_layer_norm": True,
            "image_token_id": config["image_token_index"],
            "image_break_token_id": 12,
            "image_end_token_id": 13,
            "image_size": vision["image_size"],
        }
    }


def write_native(folder: Path, source: Path) -> Path:
    """Writes the Hugging Face folder `source` in Mistral's own format into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = json.loads((source / "config.json").read_text())
    tensors: dict[str, RawTensor] = {}
    for name, tensor in read_folder(source).items():
        heads = rotary_heads(name, config)
        data = tensor.data
        if heads is not None:
            rows = np.frombuffer(data, np.uint8).reshape(tensor.shape[0], -1)
            data = bytearray(hf_to_native(rows, heads).tobytes())
        tensors[native_name(name)] = RawTensor(tensor.dtype, tensor.shape, data)
    write_raw(folder / "consolidated.safetensors", tensors)
    (folder / "params.json").write_text(json.dumps(native_params(config)))
    for file in ("tekken.json", "SYSTEM_PROMPT.txt"):
        shutil.copy(source / file, folder / file)
    return folder
