"""One answer to "what is this source?", read from what it is, never from what it is called."""

import re
from collections.abc import Callable
from pathlib import Path

from magistral_mlx.errors import ConversionError, UsageError
from magistral_mlx.storage.paths import typed_path
from magistral_mlx_convert.progress.events import Progress, Stage
from magistral_mlx_convert.sources import kaggle
from magistral_mlx_convert.sources.found import find_model
from magistral_mlx_convert.sources.local import open_local
from magistral_mlx_convert.sources.source import Source

_NAME = re.compile(r"(?P<owner>[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*(?P<type>:[\w.-]+)?")


def open_source(
    source: str | Path,
    *,
    revision: str | None,
    scratch: Path,
    keep_source: bool,
    progress: Callable[[Progress], None],
) -> Source:
    """Open a source on this machine, or fetch it; the weights of a hub id arrive while they are converted.

    Args:
        source: what the user named.
        revision: of a hub id.
        scratch: where fetched files may wait for their use; made when it is needed.
        keep_source: leave fetched files in the hub library's cache.
        progress: may be called from another thread.

    Raises:
        UsageError: a revision is asked of a folder.
        ConversionError: there is no such folder, and it is no hub id either; or it can't be converted.
        CheckpointError: a file is damaged.
        NetworkError: the hub did not answer.
    """
    try:
        return _opened(source, revision=revision, scratch=scratch, keep_source=keep_source, progress=progress)
    except OSError as error:
        raise ConversionError(
            f"{error.filename or source} can't be read: {error.strerror or error}", "Check its permissions."
        ) from error


def _opened(
    source: str | Path,
    *,
    revision: str | None,
    scratch: Path,
    keep_source: bool,
    progress: Callable[[Progress], None],
) -> Source:
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
        from magistral_mlx_convert.sources.hub.open import open_hub

        return open_hub(
            source, revision=revision, scratch=scratch, keep_source=keep_source, progress=progress
        )
    raise ConversionError(
        f"{source} does not exist, and no model of that name is in LM Studio's folder or the hub's cache"
        if named
        else f"{source} does not exist",
        "Give a folder, or a hub id such as mistralai/Magistral-Small-2509.",
    )
