"""A checkpoint folder in the format of Hugging Face: `model.safetensors`, or shards with their index.

Only the files that the index names are read, so that a `consolidated.safetensors` beside them (the same
weights once more, 48 GB) or a stray shard changes nothing.
"""

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from magistral_mlx.errors import CheckpointError, ConversionError
from magistral_mlx.safetensors_header import ITEM_BYTES, SafetensorsHeader, read_header
from magistral_mlx_convert.sources.source import Provenance, SourceTensor

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
SMALL_FILES = ("config.json", INDEX_FILE, "tekken.json", "SYSTEM_PROMPT.txt", "generation_config.json")
"""What is read beside the weights."""

_WANTED = "Give a folder with config.json and model.safetensors, or with shards and their index."
_AGAIN = "Download the checkpoint again."

# <cache>/models--owner--name/snapshots/<commit>: the layout of the hub's cache.
_IN_HUB_CACHE = re.compile(r"models--([\w.-]+?)--([\w.-]+)/snapshots/([0-9a-f]{40})$")


class HuggingFaceFolder:
    """A `Source` on local files. Opening reads and checks all headers and the index, no tensor.

    Args:
        folder: the checkpoint.
        provenance: what to record; read from the folder's path when it is not given.

    Raises:
        ConversionError: the folder is not such a checkpoint, or index and files contradict each other.
        CheckpointError: a weight file is damaged.
    """

    def __init__(self, folder: Path, *, provenance: Provenance | None = None) -> None:
        if not folder.is_dir():
            raise ConversionError(f"{folder} is not a folder", _WANTED)
        self.folder = folder
        self.provenance = provenance or _provenance(folder)
        self.config: Mapping[str, object] = _read_json(folder / "config.json", remedy=_WANTED)
        self._headers = _read_headers(folder)
        self.tensors: Mapping[str, SourceTensor] = {
            name: SourceTensor(name=name, dtype=info.dtype, shape=info.shape, file=file)
            for file, header in self._headers.items()
            for name, info in header.tensors.items()
        }
        self.tokenizer = _if_present(folder / "tekken.json")
        self.system_prompt = _if_present(folder / "SYSTEM_PROMPT.txt")
        self.generation_config = _if_present(folder / "generation_config.json")
        self._descriptors: dict[str, int] = {}

    @property
    def identity(self) -> tuple[tuple[str, int, int], ...]:
        """See `Source.identity`."""
        states = ((file, (self.folder / file).stat()) for file in self._headers)
        return tuple((file, state.st_size, state.st_mtime_ns) for file, state in states)

    def read_rows(self, tensor: SourceTensor, first: int, into: memoryview) -> None:
        """See `Source.read_rows`."""
        header = self._headers[tensor.file]
        row_bytes = math.prod(tensor.shape[1:]) * ITEM_BYTES[tensor.dtype]
        position = header.data_offset + header.tensors[tensor.name].start + first * row_bytes
        path = self.folder / tensor.file
        try:
            if tensor.file not in self._descriptors:
                self._descriptors[tensor.file] = os.open(path, os.O_RDONLY)
            descriptor = self._descriptors[tensor.file]
            while into.nbytes:
                count = os.preadv(descriptor, [into], position)
                if count == 0:
                    raise ConversionError(
                        f"{path} ended inside {tensor.name}: it was changed meanwhile", _AGAIN
                    )
                into, position = into[count:], position + count
        except OSError as error:
            raise ConversionError(
                f"{path} can't be read at {tensor.name}: {error.strerror}", "Check the disk it lies on."
            ) from error

    def close(self) -> None:
        """See `Source.close`."""
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()


def weight_files(folder: Path) -> Mapping[str, frozenset[str] | None]:
    """File -> the tensors that the index places in it; None for a single file without index.

    Raises:
        ConversionError: there are no weights of this format, or the index is not valid.
    """
    if (folder / SINGLE_FILE).is_file():
        return {SINGLE_FILE: None}
    if not (folder / INDEX_FILE).is_file():
        raise ConversionError(f"{folder} holds no {SINGLE_FILE} and no {INDEX_FILE}", _other_format(folder))
    raw = _read_json(folder / INDEX_FILE, remedy=_AGAIN).get("weight_map")
    if not isinstance(raw, dict) or not raw:
        raise ConversionError(f"{folder / INDEX_FILE} has no weight_map", _AGAIN)
    placed: dict[str, set[str]] = {}
    for tensor, file in cast(dict[str, object], raw).items():
        # A name from a file is never trusted as a path.
        if not isinstance(file, str) or Path(file).name != file or not file.endswith(".safetensors"):
            raise ConversionError(f"{folder / INDEX_FILE} places {tensor} in {file!r}", _AGAIN)
        placed.setdefault(file, set()).add(tensor)
    return {file: frozenset(placed[file]) for file in sorted(placed)}


def _read_headers(folder: Path) -> dict[str, SafetensorsHeader]:
    headers: dict[str, SafetensorsHeader] = {}
    for file, placed in weight_files(folder).items():
        if not (folder / file).is_file():
            raise ConversionError(f"{folder / file} is missing, but {INDEX_FILE} names it", _AGAIN)
        headers[file] = read_header(folder / file)
        if placed is None:
            continue
        held = headers[file].tensors.keys()
        if absent := sorted(placed - held):
            raise ConversionError(
                f"{INDEX_FILE} places {absent[0]} in {file}, which does not hold it", _AGAIN
            )
        if unplaced := sorted(held - placed):
            raise ConversionError(
                f"{file} holds {unplaced[0]}, which {INDEX_FILE} does not place there", _AGAIN
            )
    return headers


def _other_format(folder: Path) -> str:
    if any(folder.glob("consolidated*.safetensors")):
        return "It holds Mistral's own format; take the Hugging Face files (model-*.safetensors) instead."
    if any(folder.glob("*.gguf")):
        return "It holds GGUF files; take the Hugging Face checkpoint mistralai/Magistral-Small-2509 instead."
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")):
        return "Pickled weights are not read, because they can run code; take a safetensors checkpoint."
    return _WANTED


def _provenance(folder: Path) -> Provenance:
    if match := _IN_HUB_CACHE.search(folder.absolute().as_posix()):
        owner, name, commit = match.groups()
        return Provenance(kind="huggingface-hub", name=f"{owner}/{name}", revision=commit)
    return Provenance(kind="huggingface-folder", name=folder.resolve().name)


def _read_json(path: Path, *, remedy: str) -> Mapping[str, object]:
    try:
        raw: object = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ConversionError(f"{path} is missing", remedy) from error
    except OSError as error:
        raise ConversionError(f"{path} can't be read: {error.strerror}", "Check its permissions.") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}", remedy) from error
    if not isinstance(raw, dict):
        raise CheckpointError(f"{path} is not a JSON object", remedy)
    return cast(dict[str, object], raw)


def _if_present(path: Path) -> Path | None:
    return path if path.is_file() else None
