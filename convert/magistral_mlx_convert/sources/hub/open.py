"""A hub id: only the files that are needed, each once.

`HF_ENDPOINT`, `HF_HOME`, `HF_TOKEN` and `HF_HUB_OFFLINE` mean what they mean everywhere: the hub library
reads them. Half of Magistral's repository, the copy in Mistral's own format, is not fetched. Small files
go into the library's own cache, weights only with `keep_source`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from magistral_mlx.errors import ConversionError
from magistral_mlx_convert.progress.events import Progress, Stage
from magistral_mlx_convert.sources import huggingface, native
from magistral_mlx_convert.sources.gguf.source import GGUFSource
from magistral_mlx_convert.sources.hub import client as hub_client
from magistral_mlx_convert.sources.hub.client import RemoteFile, explained
from magistral_mlx_convert.sources.hub.files import HubFiles
from magistral_mlx_convert.sources.hub.gguf import chosen_files, fetch_gguf, holds_gguf, vision_part
from magistral_mlx_convert.sources.local import open_local, open_safetensors
from magistral_mlx_convert.sources.native import NativeFolder
from magistral_mlx_convert.sources.source import Provenance, Source

_NATIVE_FILES = (native.PARAMS_FILE, native.INDEX_FILE, "tekken.json", "SYSTEM_PROMPT.txt")


def open_hub(
    name: str,
    *,
    revision: str | None,
    scratch: Path,
    keep_source: bool,
    progress: Callable[[Progress], None],
) -> Source:
    """Fetch the small files and the headers; pin the revision to its commit.

    Formats in order of preference: Hugging Face's, Mistral's own, GGUF. GGUF files are fetched whole into
    the hub library's cache.

    Args:
        name: `owner/name`; of a repository of GGUF files also `owner/name:TYPE`.
        revision: branch, tag or commit; the default branch without it.
        scratch: where weight files wait for their use, if they are not kept.
        keep_source: fetch weight files into the hub library's cache and leave them there.
        progress: may be called from a thread of the hub library.

    Raises:
        NetworkError: the hub can't be reached, or does not know the repository or the revision.
        ConversionError: the repository holds no weights of a known format, or the disk is too full.
        CheckpointError: a file is damaged.
    """
    repository, _, tag = name.partition(":")
    progress(Progress(stage=Stage.DOWNLOAD))
    with explained(repository, revision):
        folder = hub_client.download(repository, revision=revision, files=huggingface.SMALL_FILES)
        # The snapshot's folder is named after the commit.
        commit = folder.name
        indexed = (folder / huggingface.INDEX_FILE).is_file()
        placed = huggingface.weight_files(folder) if indexed else {huggingface.SINGLE_FILE: None}
        files: dict[str, RemoteFile] = {}
        if not hub_client.is_offline():
            files = hub_client.remote_files(repository, revision=commit)
        elif not any((*folder.glob("consolidated*.safetensors"), *folder.rglob("*.gguf"))):
            folder = hub_client.download(repository, revision=commit, files=sorted(placed))
    provenance = Provenance(kind="huggingface-hub", name=repository, revision=commit)
    if hub_client.is_offline():
        return _open_cached(folder, tag, provenance)
    arriving = partial(HubFiles, repository, commit=commit, files=files, scratch=scratch, keep=keep_source)
    if not tag and (indexed or placed.keys() <= files.keys()):
        return _open_shards(folder, placed, files, arriving, provenance)
    if not tag and {native.SINGLE_FILE, native.INDEX_FILE} & files.keys():
        with explained(repository, commit):
            hub_client.download(repository, revision=commit, files=_NATIVE_FILES)
        held = native.native_files(folder) if native.INDEX_FILE in files else {native.SINGLE_FILE: None}
        weights = arriving(placed=held, index=native.INDEX_FILE)
        return NativeFolder(folder, provenance=provenance, files=weights)
    if holds_gguf(files):
        path, vision = fetch_gguf(repository, commit=commit, tag=tag or None, files=files, progress=progress)
        return GGUFSource(path, provenance=provenance, vision=vision)
    raise ConversionError(
        f"{repository} holds no {huggingface.SINGLE_FILE}, no {native.SINGLE_FILE} and no GGUF file",
        "Take a repository with weights, such as mistralai/Magistral-Small-2509.",
    )


def _open_shards(
    folder: Path,
    placed: Mapping[str, frozenset[str] | None],
    files: Mapping[str, RemoteFile],
    arriving: Callable[..., HubFiles],
    provenance: Provenance,
) -> Source:
    # An MLX conversion of others has its vocabulary there alone.
    if "tekken.json" not in files and "tokenizer.json" in files:
        with explained(provenance.name, folder.name):
            hub_client.download(provenance.name, revision=folder.name, files=["tokenizer.json"])
    if all((folder / file).is_file() for file in placed):
        return open_safetensors(folder, provenance=provenance)
    if absent := sorted(placed.keys() - files.keys()):
        raise ConversionError(
            f"{provenance.name} holds no {absent[0]}",
            "Take a repository in Hugging Face format, such as mistralai/Magistral-Small-2509.",
        )
    weights = arriving(placed=placed, index=huggingface.INDEX_FILE)
    return open_safetensors(folder, provenance=provenance, files=weights)


def _open_cached(folder: Path, tag: str, provenance: Provenance) -> Source:
    """Open a cached snapshot; of GGUF files those of that type."""
    ggufs = [path.relative_to(folder).as_posix() for path in folder.rglob("*.gguf")]
    if not ggufs or (not tag and any(folder.glob("*.safetensors"))):
        return open_local(folder, provenance=provenance)
    names = chosen_files(ggufs, tag or None, repository=provenance.name)
    vision = vision_part(names)
    return GGUFSource(folder / names[0], provenance=provenance, vision=folder / vision if vision else None)
