"""The small files of a converted folder: config, index, tokenizer, system prompt; checked before any work."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from magistral_mlx.checkpoint.config import ModelConfig, Quantization
from magistral_mlx.errors import ConversionError
from magistral_mlx.prompt.system_prompt import ReasoningPrompt
from magistral_mlx.storage.atomic import read_bytes
from magistral_mlx_convert.planning.plan import Plan
from magistral_mlx_convert.sources.found import find_tekken
from magistral_mlx_convert.sources.source import MadeFile, Source
from magistral_mlx_convert.writing.reasoning_prompts import OF_1_0, SINCE_1_1

TOKENIZER_FILE = "tekken.json"
SYSTEM_PROMPT_FILE = "SYSTEM_PROMPT.txt"
GENERATION_CONFIG_FILE = "generation_config.json"
INDEX_FILE = "model.safetensors.index.json"

MOST_TOKENIZER_BYTES = 64 << 20
"""Limit of the small files that are copied; the tekken.json of Magistral Small 1.2 has 20 MB."""

_OFFICIAL = "mistralai/Magistral-Small-2509"


@dataclass(frozen=True)
class SideFiles:
    """Files to copy: name -> bytes; `notes` name those that the source lacks."""

    files: Mapping[str, bytes]
    notes: tuple[str, ...]


def read_side_files(source: Source, config: ModelConfig, *, tokenizer: Path | None) -> SideFiles:
    """Reads and checks tokenizer, system prompt and generation config.

    Args:
        tokenizer: a `tekken.json` to take instead of the source's.

    Raises:
        ConversionError: there is no tokenizer, it does not fit the model, or a file is not what it should be.
    """
    notes: list[str] = []
    given = tokenizer or source.tokenizer
    if given is None and (given := find_tekken(ids=config.text.vocab_size)) is not None:
        notes.append(f"The source has no {TOKENIZER_FILE}: {given} is used")
    if given is None:
        raise ConversionError(
            f"{source.provenance.name} holds no {TOKENIZER_FILE}",
            f"Take the file from {_OFFICIAL} and name it with --tokenizer.",
        )
    if isinstance(given, MadeFile):
        content, where = given.data, given.where
        notes.append(
            f"The source has no {TOKENIZER_FILE}: it is rebuilt from the tokens in {Path(where).name}"
        )
    else:
        content, where = _read(given), str(given)
    special = _checked_tokenizer(content, where, config)
    files = {TOKENIZER_FILE: content}
    if source.system_prompt is None:
        release, prompt = ("1.2", SINCE_1_1) if "[THINK]" in special else ("1.0", OF_1_0)
        files[SYSTEM_PROMPT_FILE] = prompt.encode()
        notes.append(
            f"The source has no {SYSTEM_PROMPT_FILE}: the reasoning prompt of Magistral Small "
            f"{release}'s model card is used"
        )
    else:
        files[SYSTEM_PROMPT_FILE] = _system_prompt(source.system_prompt)
    if source.generation_config is not None:
        files[GENERATION_CONFIG_FILE] = _read(source.generation_config)
        _object(files[GENERATION_CONFIG_FILE], str(source.generation_config))
    return SideFiles(files=files, notes=tuple(notes))


def _checked_tokenizer(data: bytes, where: str, config: ModelConfig) -> set[str]:
    """The names of the control tokens of a `tekken.json` that fits the model."""
    raw = _object(data, where)
    numbers, special = raw.get("config"), raw.get("special_tokens")
    if (
        not isinstance(numbers, dict)
        or not isinstance(raw.get("vocab"), list)
        or not isinstance(special, list)
    ):
        raise ConversionError(f"{where} is not a tekken tokenizer", f"Take the tekken.json of {_OFFICIAL}.")
    size = cast(dict[str, object], numbers).get("default_vocab_size")
    if not isinstance(size, int) or size > config.text.vocab_size:
        raise ConversionError(
            f"{where} has {size} tokens, but the model has {config.text.vocab_size}",
            "Use the tekken.json that belongs to these weights.",
        )
    names = (
        cast(Mapping[str, object], entry).get("token_str")
        for entry in cast(list[object], special)
        if isinstance(entry, Mapping)
    )
    return {name for name in names if isinstance(name, str)}


def _system_prompt(path: Path) -> bytes:
    data = _read(path)
    try:
        ReasoningPrompt.parse(data.decode())
    except ValueError as error:
        raise ConversionError(f"{path} is not UTF-8 text", "Download it again.") from error
    return data


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path, most=MOST_TOKENIZER_BYTES)
    except OSError as error:
        raise ConversionError(f"{path} can't be read: {error.strerror}", "Check its permissions.") from error


def _object(data: bytes, where: str) -> dict[str, object]:
    try:
        raw: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ConversionError(f"{where} is not valid JSON: {error}", "Download it again.") from error
    if not isinstance(raw, dict):
        raise ConversionError(f"{where} is not a JSON object", "Download it again.")
    return cast(dict[str, object], raw)


_NOT_TAKEN_OVER = (
    *("quantization", "quantization_config", "torch_dtype", "dtype", "rope_parameters"),  # written anew
    "auto_map",  # names code to run
    "_name_or_path",  # a path of the machine that saved it
)


def converted_config(raw: Mapping[str, object], plan: Plan) -> dict[str, object]:
    """`config.json` of the result: the source's, in the flat spelling that every MLX program reads.

    Transformers 5 nests the rotary base; mlx-lm would then silently take 10,000 and mlx-vlm fail.
    """
    config = copy.deepcopy(dict(raw))
    for key in _NOT_TAKEN_OVER:
        config.pop(key, None)
    model = plan.config
    config |= {
        "torch_dtype": plan.recipe.dtype,
        "image_token_index": model.image_token_id,
        "spatial_merge_size": model.spatial_merge_size,
        "vision_feature_layer": -1,
        "tie_word_embeddings": False,
    }
    config["text_config"] = _flat(config["text_config"]) | {
        "head_dim": model.text.head_dim,
        "rope_theta": model.text.rope_theta,
        "tie_word_embeddings": False,
    }
    if model.vision is not None:
        vision = {"head_dim": model.vision.head_dim, "rope_theta": model.vision.rope_theta}
        config["vision_config"] = _flat(config["vision_config"]) | vision
    if plan.recipe.whole is not None:
        config["quantization"] = _quantization(plan, plan.recipe.whole)
    return config


def _flat(section: object) -> dict[str, object]:
    dropped = ("rope_parameters", "torch_dtype", "dtype")
    return {key: value for key, value in cast(dict[str, object], section).items() if key not in dropped}


def _quantization(plan: Plan, whole: Quantization) -> dict[str, object]:
    """The default packing, and each matrix with another packing or none, by its path."""
    table: dict[str, object] = _packing_entry(whole)
    for unit in plan.units:
        # `keep_plan` makes units of scales and biases too: their names do not end in .weight.
        matrix = len(unit.parameter.shape) == 2 and unit.parameter.name.endswith(".weight")
        if matrix and unit.packing != whole:
            table[unit.parameter.path] = False if unit.packing is None else _packing_entry(unit.packing)
    return table


def _packing_entry(packing: Quantization) -> dict[str, object]:
    return {"group_size": packing.group_size, "bits": packing.bits, "mode": packing.mode}


def index(plan: Plan) -> dict[str, object]:
    """`model.safetensors.index.json`."""
    places = {
        output.name: shard.file for shard in plan.shards for unit in shard.units for output in unit.outputs
    }
    total = sum(unit.output_bytes for unit in plan.units)
    return {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}


def to_json(value: object) -> bytes:
    """JSON as it is written into the folder; sorted, so that equal content gives equal bytes."""
    return (json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode()
