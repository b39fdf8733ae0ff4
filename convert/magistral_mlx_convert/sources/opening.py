"""One answer to "what is this source?", read from what it is, never from what it is called."""

import re
from collections.abc import Callable
from pathlib import Path

from magistral_mlx.errors import ConversionError, UsageError
from magistral_mlx.places import typed_path
from magistral_mlx_convert.progress import Progress, Stage
from magistral_mlx_convert.sources import huggingface, kaggle, native
from magistral_mlx_convert.sources.found import find_model
from magistral_mlx_convert.sources.gguf import GGUFSource
from magistral_mlx_convert.sources.huggingface import HuggingFaceFolder
from magistral_mlx_convert.sources.mlx_folder import MlxFolder, is_mlx_conversion
from magistral_mlx_convert.sources.native import NativeFolder
from magistral_mlx_convert.sources.safetensors_files import SafetensorsFiles, WeightFiles, indexed_files
from magistral_mlx_convert.sources.small_files import read_json
from magistral_mlx_convert.sources.source import Provenance, Source

_NAME = re.compile(r"(?P<owner>[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*(?P<type>:[\w.-]+)?")


def open_source(
    source: str | Path,
    *,
    revision: str | None,
    scratch: Path,
    keep_source: bool,
    progress: Callable[[Progress], None],
) -> Source:
    """Opens what is here, or what is fetched; the weights of a hub id arrive while they are converted.

    Args:
        source: what the user named.
        revision: of a hub id.
        scratch: where what is fetched may wait for its use; made when it is needed.
        keep_source: leave what is fetched in the hub library's cache.
        progress: may be called from another thread.

    Raises:
        UsageError: a revision is asked of a folder.
        ConversionError: there is no such folder, and it is no hub id either; or it can't be converted.
        CheckpointError: a file is damaged.
        NetworkError: the hub did not answer.
    """
    if isinstance(source, str) and source.startswith(kaggle.PREFIX):
        if revision is not None:
            raise UsageError(f"{source} is a Kaggle handle, whose last part is the version", "Put it there.")
        found, provenance = kaggle.download_kaggle(source, progress=progress)
        return open_local(found, provenance=provenance)
    folder = typed_path(source)
    if folder.exists():
        if revision is not None:
            raise UsageError(f"{folder} is a local folder, which has no revisions", "Leave --revision out.")
        return open_local(folder)
    named = isinstance(source, str) and _NAME.fullmatch(source)
    unpinned = named and not named["type"] and revision is None
    if isinstance(source, str) and unpinned and (model := find_model(source)) is not None:
        progress(
            Progress(stage=Stage.DOWNLOAD, note=f"{model.provenance.name} is here already: {model.folder}")
        )
        return open_local(model.folder, provenance=model.provenance)
    if isinstance(source, str) and named and named["owner"]:
        # Imported here: a local conversion needs no hub library.
        from magistral_mlx_convert.sources.hub import open_hub

        return open_hub(
            source, revision=revision, scratch=scratch, keep_source=keep_source, progress=progress
        )
    raise ConversionError(
        f"{source} does not exist, and no model of that name is in LM Studio's folder or the hub's cache"
        if named
        else f"{source} does not exist",
        "Give a folder, or a hub id such as mistralai/Magistral-Small-2509.",
    )


def open_local(path: Path, *, provenance: Provenance | None = None) -> Source:
    """Opens a folder or a GGUF file, in whatever format it has; of several, that of Hugging Face.

    Raises:
        ConversionError: no format that is read; or it can't be converted.
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
