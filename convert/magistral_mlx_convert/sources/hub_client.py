"""The adapter to huggingface_hub: downloads named files of one revision and counts their bytes."""

# tqdm has no types, and huggingface_hub's are partial because of it; nothing of that leaves this file.
# mypy: disable-error-code="import-untyped,misc"
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportCallIssue=false, reportArgumentType=false, reportPrivateImportUsage=false

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import errors, snapshot_download
from tqdm import tqdm

HTTPError: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]
"""What the library's HTTP client raises: httpx or httpx2, by version; `errors` alone knows which."""


def download(
    repository: str,
    *,
    revision: str | None,
    files: Sequence[str],
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Fetches those of `files` that exist and are not cached, and gives the snapshot's folder.

    Args:
        progress: called with bytes done and bytes in all.
    """
    return Path(
        snapshot_download(
            repository,
            revision=revision,
            allow_patterns=list(files),
            tqdm_class=_byte_counter(progress or _ignore),
        )
    )


def missing_bytes(repository: str, *, revision: str, files: Sequence[str]) -> int:
    """How much `download` would fetch."""
    planned = snapshot_download(
        repository,
        revision=revision,
        allow_patterns=list(files),
        dry_run=True,
        tqdm_class=_byte_counter(_ignore),
    )
    return sum(file.file_size or 0 for file in planned if file.will_download)


def _ignore(_done: int, _total: int) -> None:
    pass


def _byte_counter(progress: Callable[[int, int], None]) -> type[Any]:
    """A progress bar class as the library wants one: it draws nothing and passes the bytes on."""
    most = {"done": 0, "total": 0}

    class ByteCounter(tqdm):  # pyright: ignore[reportMissingTypeArgument]  # at runtime it takes none
        # No watching thread: one bar more or less is not worth it.
        monitor_interval = 0

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": False, "file": io.StringIO()})

        def display(self, *_: Any, **__: Any) -> None:
            # Bytes may be counted by two bars (received, written); files are counted by another.
            if self.unit == "B":
                most["done"] = max(most["done"], int(self.n))
                most["total"] = max(most["total"], int(self.total or 0))
                progress(most["done"], most["total"])

    return ByteCounter
