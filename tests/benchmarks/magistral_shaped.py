"""Writes a checkpoint of Magistral Small's exact widths and any number of layers, with random weights.

    python tests/benchmarks/magistral_shaped.py OUT --layers 2      5.8 GB; 40 layers are the full 48 GB

For benchmarks of conversion and loading: shapes, names, dtype (bf16), shards of 5 GB and index are those of
mistralai/Magistral-Small-2509; the values are tiles of one random block (deviation 0.02; norms are 1), so
that writing is as fast as the disk. Each parameter begins at another place of the block, whose length has no
divisor in common with any width: no two rows are equal, and none of one parameter meets its like in another.
The tokenizer is a small valid one.
"""

import argparse
import copy
import json
import math
import re
import sys
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from magistral_mlx.checkpoint.config import parse_config
from magistral_mlx.checkpoint.parameters import parameter_shapes
from magistral_mlx_convert.sources.mapping import source_names
from support.tekken import SYSTEM_PROMPT, write_tekken

CONFIG: dict[str, Any] = {
    "architectures": ["Mistral3ForConditionalGeneration"],
    "image_token_index": 10,
    "model_type": "mistral3",
    "multimodal_projector_bias": False,
    "projector_hidden_act": "gelu",
    "spatial_merge_size": 2,
    "text_config": {
        "head_dim": 128,
        "hidden_act": "silu",
        "hidden_size": 5120,
        "intermediate_size": 32768,
        "max_position_embeddings": 131072,
        "model_type": "mistral",
        "num_attention_heads": 32,
        "num_hidden_layers": 40,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-05,
        "rope_theta": 1000000000.0,
        "sliding_window": None,
        "vocab_size": 131072,
    },
    "torch_dtype": "bfloat16",
    "vision_config": {
        "head_dim": 64,
        "hidden_act": "silu",
        "hidden_size": 1024,
        "image_size": 1540,
        "intermediate_size": 4096,
        "model_type": "pixtral",
        "num_attention_heads": 16,
        "num_channels": 3,
        "num_hidden_layers": 24,
        "patch_size": 14,
        "rope_theta": 10000.0,
    },
    "vision_feature_layer": -1,
}

_SAVED_ORDER = (
    "vision_tower.",
    "multi_modal_projector.",
    "language_model.model.embed_tokens.",
    "language_model.model.layers.",
    "language_model.model.norm.",
    "language_model.lm_head.",
)

Tensors = dict[str, tuple[int, ...]]
"""Name -> shape, in the order of a file."""

SHARD_BYTES = 5_000_000_000
_BLOCK_BYTES = (1 << 24) - 2
_ONE_IN_BF16 = b"\x80\x3f"


def write_magistral_shaped(folder: Path, *, layers: int, vision_layers: int = 24) -> int:
    """Writes the checkpoint and returns the bytes of its weights."""
    shards = write_small_files(folder, layers=layers, vision_layers=vision_layers)
    for file, tensors in shards.items():
        with (folder / file).open("wb") as opened:
            for piece in content_of(tensors):
                opened.write(piece)
    return sum(_nbytes(shape) for tensors in shards.values() for shape in tensors.values())


def write_small_files(folder: Path, *, layers: int, vision_layers: int = 24) -> dict[str, Tensors]:
    """Writes everything but the weights, and returns what each weight file is to hold."""
    folder.mkdir(parents=True)
    config = copy.deepcopy(CONFIG)
    config["text_config"]["num_hidden_layers"] = layers
    config["vision_config"]["num_hidden_layers"] = vision_layers
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    (folder / "SYSTEM_PROMPT.txt").write_text(SYSTEM_PROMPT)
    write_tekken(folder)
    tensors = {source_names(name)[0]: _as_stored(shape) for name, shape in _as_saved(config)}
    shards = _shards(tensors)
    files = {
        f"model-{number:05}-of-{len(shards):05}.safetensors": {name: tensors[name] for name in names}
        for number, names in enumerate(shards, start=1)
    }
    places = {name: file for file, held in files.items() for name in held}
    total = sum(_nbytes(shape) for shape in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return files


def _as_saved(config: dict[str, Any]) -> list[tuple[str, tuple[int, ...]]]:
    """In the order of Transformers' modules: eyes, projector, text model; a layer's norms come last."""

    def place(item: tuple[str, tuple[int, ...]]) -> tuple[int, int, bool]:
        name, shape = item
        rank = next(number for number, part in enumerate(_SAVED_ORDER) if name.startswith(part))
        layer = re.match(r"language_model\.model\.layers\.(\d+)", name)
        return rank, int(layer[1]) if layer else 0, layer is not None and len(shape) == 1

    return sorted(parameter_shapes(parse_config(config)).items(), key=place)


def _as_stored(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], shape[3], *shape[1:3]) if len(shape) == 4 else shape


def _nbytes(shape: tuple[int, ...]) -> int:
    return 2 * math.prod(shape)


def _shards(tensors: dict[str, tuple[int, ...]]) -> list[list[str]]:
    shards: list[list[str]] = [[]]
    filled = 0
    for name, shape in tensors.items():
        if filled + _nbytes(shape) > SHARD_BYTES:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += _nbytes(shape)
    return shards


@cache
def _random_block() -> bytes:
    values = np.random.default_rng(0).normal(0, 0.02, _BLOCK_BYTES // 2).astype(np.float32)
    return (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()


def content_of(tensors: Tensors) -> Iterator[bytes | memoryview]:
    """A weight file piece by piece, as it would lie on the disk."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name, shape in tensors.items():
        end = position + _nbytes(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(header).encode()
    yield len(text).to_bytes(8, "little") + text
    block = memoryview(_random_block())
    for name, shape in tensors.items():
        left = _nbytes(shape)
        if len(shape) == 1:
            yield _ONE_IN_BF16 * (left // 2)
            continue
        start = zlib.crc32(name.encode()) % (_BLOCK_BYTES // 2) * 2
        while left:
            piece = block[start : start + left]
            yield piece
            left -= len(piece)
            start = 0


def size_of(tensors: Tensors) -> int:
    """The bytes of that file."""
    header = next(content_of(tensors))
    return len(header) + sum(_nbytes(shape) for shape in tensors.values())


def main() -> None:
    parser = argparse.ArgumentParser(
        description="write a checkpoint of Magistral's widths with random weights"
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--vision-layers", type=int, default=24)
    arguments = parser.parse_args()
    total = write_magistral_shaped(
        arguments.folder, layers=arguments.layers, vision_layers=arguments.vision_layers
    )
    print(f"{total / 1e9:.2f} GB in {arguments.folder}")


if __name__ == "__main__":
    main()
