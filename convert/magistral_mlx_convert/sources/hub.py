"""A hub id: only the files that are needed, each once.

`HF_ENDPOINT`, `HF_HOME`, `HF_TOKEN` and `HF_HUB_OFFLINE` mean what they mean everywhere: the hub library
reads them. Of Magistral's 96 GB the half in Mistral's own format is left where it is. Small files go into the
library's own cache, weights only if they are to be kept.
"""

from collections.abc import Callable
from pathlib import Path

from magistral_mlx.errors import ConversionError
from magistral_mlx_convert.progress import Progress, Stage
from magistral_mlx_convert.sources import hub_client
from magistral_mlx_convert.sources.hub_errors import explained
from magistral_mlx_convert.sources.hub_files import HubFiles
from magistral_mlx_convert.sources.huggingface import (
    INDEX_FILE,
    SINGLE_FILE,
    SMALL_FILES,
    HuggingFaceFolder,
    weight_files,
)
from magistral_mlx_convert.sources.source import Provenance


def open_hub(
    repository: str,
    *,
    revision: str | None,
    scratch: Path,
    keep_source: bool,
    progress: Callable[[Progress], None],
) -> HuggingFaceFolder:
    """Fetches the small files and the headers; the revision is pinned to its commit with the first file.

    Args:
        repository: `owner/name`.
        revision: branch, tag or commit; the default branch without it.
        scratch: where weight files wait for their use, if they are not kept.
        keep_source: fetch weight files into the hub library's cache and leave them there.
        progress: may be called from a thread of the hub library.

    Raises:
        NetworkError: the hub can't be reached, or does not know the repository or the revision.
        ConversionError: the repository holds no weights of this format, or the disk is too full for them.
        CheckpointError: a file is damaged.
    """
    progress(Progress(stage=Stage.DOWNLOAD))
    with explained(repository, revision):
        folder = hub_client.download(repository, revision=revision, files=SMALL_FILES)
        # The snapshot's folder is named after the commit.
        commit = folder.name
        indexed = (folder / INDEX_FILE).is_file()
        placed = weight_files(folder) if indexed else {SINGLE_FILE: None}
        if hub_client.is_offline():
            folder = hub_client.download(repository, revision=commit, files=sorted(placed))
            files = {}
        else:
            files = hub_client.remote_files(repository, revision=commit)
    provenance = Provenance(kind="huggingface-hub", name=repository, revision=commit)
    if hub_client.is_offline() or all((folder / file).is_file() for file in placed):
        return HuggingFaceFolder(folder, provenance=provenance)
    if absent := sorted(placed.keys() - files.keys()):
        raise ConversionError(
            f"{repository} holds no {absent[0]}",
            "Take a repository in Hugging Face format, such as mistralai/Magistral-Small-2509.",
        )
    arriving = HubFiles(
        repository,
        commit=commit,
        placed=placed,
        index=INDEX_FILE,
        files=files,
        scratch=scratch,
        keep=keep_source,
    )
    return HuggingFaceFolder(folder, provenance=provenance, files=arriving)
