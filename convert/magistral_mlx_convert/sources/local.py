"""Open a source that lies on this machine: a folder of any layout, or a file."""

from pathlib import Path

from magistral_mlx.errors import ConversionError
from magistral_mlx_convert.sources import huggingface, native
from magistral_mlx_convert.sources.gguf.source import GGUFSource
from magistral_mlx_convert.sources.huggingface import HuggingFaceFolder
from magistral_mlx_convert.sources.mlx_folder import MlxFolder, is_mlx_conversion
from magistral_mlx_convert.sources.native import NativeFolder
from magistral_mlx_convert.sources.safetensors_files import SafetensorsFiles, WeightFiles, indexed_files
from magistral_mlx_convert.sources.source import Provenance, Source, read_json


def open_local(path: Path, *, provenance: Provenance | None = None) -> Source:
    """Open a folder or a GGUF file. A folder that holds several formats is read as Hugging Face's.

    Raises:
        ConversionError: its format is unknown, or it can't be converted.
        CheckpointError: a file is damaged.
    """
    if path.is_file():
        if path.suffix != ".gguf":
            raise ConversionError(f"{path} is not a folder and no .gguf file", huggingface.WANTED)
        return GGUFSource(path, provenance=provenance)
    if _is_native(path):
        return NativeFolder(path, provenance=provenance)
    if not _has_shards(path) and any(path.glob("*.gguf")):
        return GGUFSource(path, provenance=provenance)
    return open_safetensors(path, provenance=provenance)


def open_safetensors(
    folder: Path, *, provenance: Provenance | None = None, files: WeightFiles | None = None
) -> Source:
    """Opens a folder with config.json, as Hugging Face's or MLX's, whichever wrote it.

    Args:
        folder: the checkpoint, or its small files.
        provenance: what to record; read from the folder's path when it is not given.
        files: the weight files, where they do not lie in `folder`.

    Raises:
        ConversionError: the folder is not such a checkpoint.
        CheckpointError: a file is damaged.
    """
    if not folder.is_dir():
        raise ConversionError(f"{folder} is not a folder", huggingface.WANTED)
    config = read_json(folder / "config.json", remedy=huggingface.WANTED)
    found = files or SafetensorsFiles(folder, huggingface.weight_files(folder), index=huggingface.INDEX_FILE)
    if is_mlx_conversion(config, found.tensors):
        return MlxFolder(folder, provenance=provenance, files=found)
    return HuggingFaceFolder(folder, provenance=provenance, files=found)


def _is_native(folder: Path) -> bool:
    held = any((folder / name).is_file() for name in (native.SINGLE_FILE, native.INDEX_FILE))
    return held and not _has_shards(folder)


def _has_shards(folder: Path) -> bool:
    # "*.json" of the official repository brings the index without its shards.
    shards = indexed_files(folder, single=huggingface.SINGLE_FILE, index=huggingface.INDEX_FILE) or ()
    return any((folder / file).is_file() for file in shards)
