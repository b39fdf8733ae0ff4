"""A checkpoint folder in the format of Hugging Face: `model.safetensors`, or shards with their index.

Only the files that the index names are read, so that a `consolidated.safetensors` beside them (the same
weights once more, 48 GB) or a stray shard changes nothing. The text-only predecessors (MistralForCausalLM:
Magistral Small 1.0 and 1.1) are the same text model under names without `language_model.`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from magistral_mlx.checkpoint.config import ModelConfig, parse_config
from magistral_mlx.errors import ConversionError
from magistral_mlx_convert.sources.float8 import DEFAULT_BLOCK, ScaledTensors
from magistral_mlx_convert.sources.hub.arrivals import Arriving
from magistral_mlx_convert.sources.renaming import renamed
from magistral_mlx_convert.sources.safetensors_files import SafetensorsFiles, WeightFiles, indexed_files
from magistral_mlx_convert.sources.source import (
    Provenance,
    SourceTensor,
    if_present,
    provenance_of,
    read_json,
)

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
SMALL_FILES = ("config.json", INDEX_FILE, "tekken.json", "SYSTEM_PROMPT.txt", "generation_config.json")
"""Files that are read beside the weights."""

WANTED = "Give a folder with config.json and model.safetensors, or with shards and their index."

_FP8_METHODS = ("fp8", "compressed-tensors")

TEXT_ONLY_NOTE = "The model is text only: it will not see images"


class HuggingFaceFolder:
    """A `Source`. Opening reads and checks all headers and the index, no tensor.

    Args:
        folder: the checkpoint, or its small files.
        provenance: what to record; read from the folder's path when it is not given.
        files: the weight files, where they do not lie in `folder`.

    Raises:
        ConversionError: the folder is not such a checkpoint, or index and files contradict each other.
        CheckpointError: a weight file is damaged.
    """

    def __init__(
        self, folder: Path, *, provenance: Provenance | None = None, files: WeightFiles | None = None
    ) -> None:
        if not folder.is_dir():
            raise ConversionError(f"{folder} is not a folder", WANTED)
        self.folder = folder
        self.provenance = provenance or provenance_of(folder, kind="huggingface-folder")
        raw = read_json(folder / "config.json", remedy=WANTED)
        self._files = files or SafetensorsFiles(folder, weight_files(folder), index=INDEX_FILE)
        self.supply: Arriving = self._files  # read by `supply_of`
        self._scaled = ScaledTensors(self._files, folder=folder, block=_scale_block(raw))
        config = {key: value for key, value in raw.items() if not (self._scaled.any and _is_fp8(key, value))}
        text_only = config.get("model_type") == "mistral"
        self.config: Mapping[str, object] = with_text_config(config) if text_only else config
        self.tensors: Mapping[str, SourceTensor] = self._scaled.tensors
        if text_only:
            self.tensors = self._renamed(parse_config(self.config, file=str(folder / "config.json")))
        self.tokenizer = if_present(folder / "tekken.json")
        self.system_prompt = if_present(folder / "SYSTEM_PROMPT.txt")
        self.generation_config = if_present(folder / "generation_config.json")
        self.notes: tuple[str, ...] = (TEXT_ONLY_NOTE,) if text_only else ()

    @property
    def identity(self) -> tuple[tuple[str, int, int], ...]:
        """See `Source.identity`."""
        return self._files.identity

    def read_rows(self, tensor: SourceTensor, first: int, into: memoryview) -> None:
        """See `Source.read_rows`."""
        self._scaled.read_rows(tensor, first, into)

    def close(self) -> None:
        """See `Source.close`."""
        self._files.close()

    def _renamed(self, config: ModelConfig) -> dict[str, SourceTensor]:
        return renamed(
            self._scaled.tensors,
            config,
            lambda name: name.removeprefix("language_model."),
            where=lambda _: str(self.folder),
            config_file="config.json",
            remedy="Download the checkpoint again.",
        )


def weight_files(folder: Path) -> Mapping[str, frozenset[str] | None]:
    """File -> the tensors that the index places in it; None for a single file without index.

    Raises:
        ConversionError: there are no weights of this format, or the index is not valid.
    """
    placed = indexed_files(folder, single=SINGLE_FILE, index=INDEX_FILE)
    if placed is None:
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
        remedy = (
            "Pickled weights are not read, because they can run code; take a safetensors checkpoint."
            if pickled
            else WANTED
        )
        raise ConversionError(f"{folder} holds no {SINGLE_FILE} and no {INDEX_FILE}", remedy)
    return placed


def with_text_config(config: Mapping[str, object]) -> dict[str, object]:
    """Nest the config of a MistralForCausalLM into that of a Mistral3 model without a vision tower."""
    top_level = ("quantization", "quantization_config", "torch_dtype", "dtype", "transformers_version")
    dropped = (*top_level, "architectures", "auto_map", "_name_or_path")
    return {
        "model_type": "mistral3",
        **{key: config[key] for key in top_level if key in config},
        "text_config": {key: value for key, value in config.items() if key not in dropped},
    }


def _is_fp8(key: str, value: object) -> bool:
    """Tell if this entry of the config describes the fp8 weights that are read here."""
    if key != "quantization_config" or not isinstance(value, Mapping):
        return False
    return cast(Mapping[str, object], value).get("quant_method") in _FP8_METHODS


def _scale_block(config: Mapping[str, object]) -> tuple[int, int]:
    packing = config.get("quantization_config")
    size = cast(Mapping[str, object], packing).get("weight_block_size") if isinstance(packing, Mapping) else 0
    if not isinstance(size, list):
        return DEFAULT_BLOCK
    match cast(list[object], size):
        case [int(down), int(across)] if down > 0 and across > 0:
            return down, across
        case _:
            raise ConversionError(
                f"config.json: quantization_config.weight_block_size is {size!r:.40}",
                "Download the checkpoint again, or take the bf16 one.",
            )
