"""One answer to "what is this source?", read from what it is, never from what it is called."""

import re
from collections.abc import Callable
from pathlib import Path

from magistral_mlx.errors import ConversionError, UsageError
from magistral_mlx_convert.progress import Progress
from magistral_mlx_convert.sources import huggingface, native
from magistral_mlx_convert.sources.gguf import GGUFSource
from magistral_mlx_convert.sources.huggingface import HuggingFaceFolder
from magistral_mlx_convert.sources.native import NativeFolder
from magistral_mlx_convert.sources.safetensors_files import indexed_files
from magistral_mlx_convert.sources.source import Provenance, Source

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def open_source(
    source: str | Path,
    *,
    revision: str | None,
    scratch: Path,
    keep_source: bool,
    progress: Callable[[Progress], None],
) -> Source:
    """Opens a folder, or a hub id whose weights arrive while they are converted.

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
    folder = Path(source).expanduser()
    if folder.exists():
        if revision is not None:
            raise UsageError(f"{folder} is a local folder, which has no revisions", "Leave --revision out.")
        return open_local(folder)
    if isinstance(source, str) and _HUB_ID.fullmatch(source):
        # Imported here: a local conversion needs no hub library.
        from magistral_mlx_convert.sources.hub import open_hub

        return open_hub(
            source, revision=revision, scratch=scratch, keep_source=keep_source, progress=progress
        )
    raise ConversionError(
        f"{source} does not exist", "Give a folder, or a hub id such as mistralai/Magistral-Small-2509."
    )


def open_local(path: Path, *, provenance: Provenance | None = None) -> Source:
    """Opens a folder or a GGUF file, in whatever format it has; of several, that of Hugging Face.

    Raises:
        ConversionError: no format that is read; or it can't be converted.
        CheckpointError: a file is damaged.
    """
    if path.is_file():
        return GGUFSource(path, provenance=provenance)
    if _is_native(path):
        return NativeFolder(path, provenance=provenance)
    if not _has_shards(path) and any(path.glob("*.gguf")):
        return GGUFSource(path, provenance=provenance)
    return HuggingFaceFolder(path, provenance=provenance)


def _is_native(folder: Path) -> bool:
    held = any((folder / name).is_file() for name in (native.SINGLE_FILE, native.INDEX_FILE))
    return held and not _has_shards(folder)


def _has_shards(folder: Path) -> bool:
    # "*.json" of the official repository brings the index without its shards.
    shards = indexed_files(folder, single=huggingface.SINGLE_FILE, index=huggingface.INDEX_FILE) or ()
    return any((folder / file).is_file() for file in shards)
