"""The adapter to huggingface_hub: downloads named files of one revision and counts their bytes."""

# tqdm has no types, and huggingface_hub's are partial because of it; nothing of that leaves this file.
# mypy: disable-error-code="import-untyped,misc"
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportCallIssue=false, reportArgumentType=false, reportPrivateImportUsage=false

import io
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from logging import ERROR
from pathlib import Path
from typing import Any

from huggingface_hub import errors, logging, snapshot_download
from tqdm import tqdm

HTTPError: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]  # it comes by a re-export
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
    with _quiet():
        return Path(
            snapshot_download(
                repository,
                revision=revision,
                allow_patterns=list(files),
                tqdm_class=_byte_counter(progress or _ignore),
            )
        )


def missing_bytes(repository: str, *, revision: str, files: Sequence[str]) -> dict[str, int]:
    """Those of `files` that the repository has, with the bytes that `download` would fetch (0: cached)."""
    with _quiet():
        planned = snapshot_download(
            repository,
            revision=revision,
            allow_patterns=list(files),
            dry_run=True,
            tqdm_class=_byte_counter(_ignore),
        )
    return {file.filename: (file.file_size or 0) if file.will_download else 0 for file in planned}


@contextmanager
def _quiet() -> Generator[None]:
    """The library's warnings (a retry, nothing matched) are for its own users; ours get one line."""
    before = logging.get_verbosity()
    logging.set_verbosity(ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)


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
