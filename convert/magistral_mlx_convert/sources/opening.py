"""One answer to "what is this source?", read from what it is, never from what it is called."""

import re
from collections.abc import Callable
from pathlib import Path

from magistral_mlx.errors import ConversionError, UsageError
from magistral_mlx_convert.progress import Progress
from magistral_mlx_convert.sources.huggingface import HuggingFaceFolder
from magistral_mlx_convert.sources.source import Source

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def open_source(source: str | Path, *, revision: str | None, progress: Callable[[Progress], None]) -> Source:
    """Opens a folder, or downloads what is needed of a hub id.

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
        return HuggingFaceFolder(folder)
    if isinstance(source, str) and _HUB_ID.fullmatch(source):
        # Imported here: a local conversion needs no hub library.
        from magistral_mlx_convert.sources.hub import open_hub

        return open_hub(source, revision=revision, progress=progress)
    raise ConversionError(
        f"{source} does not exist", "Give a folder, or a hub id such as mistralai/Magistral-Small-2509."
    )
