"""The adapter to huggingface_hub: what a revision holds, named files of it, and the bytes of one file."""

# tqdm has no types, and huggingface_hub's are partial because of it; nothing of that leaves this file.
# mypy: disable-error-code="import-untyped,misc"
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportCallIssue=false, reportArgumentType=false, reportPrivateImportUsage=false

import errno
import io
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from logging import ERROR
from pathlib import Path
from typing import Any, BinaryIO

from huggingface_hub import (
    HfApi,
    constants,
    errors,
    hf_hub_download,
    hf_hub_url,
    logging,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils._http import hf_raise_for_status, http_backoff
from huggingface_hub.utils._runtime import is_xet_available
from tqdm import tqdm

from magistral_mlx.errors import ConversionError, NetworkError
from magistral_mlx_convert.sources.hub.checksums import Checksum

HTTPError: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]  # it comes by a re-export
"""What the library's HTTP client raises: httpx or httpx2, by version; `errors` alone knows which."""

_XET_FAILURES = (RuntimeError, PermissionError, FileNotFoundError, errors.HfHubHTTPError)
"""What hf_xet and the request for its token raise. A hub that says no says so again without Xet."""


@dataclass(frozen=True)
class RemoteFile:
    """One file of a revision."""

    size: int
    checksum: Checksum


def remote_files(repository: str, *, revision: str) -> dict[str, RemoteFile]:
    """The files of a repository by their path in it."""
    with _quiet():
        api = HfApi(endpoint=constants.ENDPOINT)
        entries = api.list_repo_tree(repository, revision=revision, recursive=True)
        return {
            entry.path: RemoteFile(
                size=entry.size,
                checksum=Checksum("sha256", entry.lfs.sha256)
                if entry.lfs
                else Checksum("git", entry.blob_id),
            )
            for entry in entries
            if isinstance(entry, RepoFile)
        }


def is_offline() -> bool:
    """Whether `HF_HUB_OFFLINE` forbids the network."""
    return constants.is_offline_mode()


def cache_path() -> Path:
    """Where the library's cache is, or would be."""
    return Path(constants.HF_HUB_CACHE)


def cache_folder() -> Path:
    """The library's cache; made if it is not there."""
    folder = cache_path()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def cached(repository: str, *, revision: str, file: str) -> Path | None:
    """Where the library's cache holds a file; None where it does not."""
    found = try_to_load_from_cache(repository, file, cache_dir=constants.HF_HUB_CACHE, revision=revision)
    return Path(found) if isinstance(found, str) else None


def download_to_cache(
    repository: str, *, revision: str, file: str, progress: Callable[[int, int], None]
) -> Path:
    """Fetches one file into the library's cache, continued where an earlier download stopped."""

    def get() -> Path:
        return Path(
            hf_hub_download(
                repository,
                file,
                revision=revision,
                cache_dir=constants.HF_HUB_CACHE,
                tqdm_class=_byte_counter(progress),
            )
        )

    with _quiet():
        return _or_by_http(get)


def fetch(repository: str, *, revision: str, file: str, size: int, into: BinaryIO) -> None:
    """Writes what `into` lacks of a file, from `into.tell()` on; tries again where the connection breaks."""
    with _quiet():
        http_get(
            hf_hub_url(repository, file, revision=revision),
            into,
            resume_size=into.tell(),
            headers=_headers(),
            expected_size=size,
            tqdm_class=_byte_counter(_ignore),
        )


def bytes_of(repository: str, *, revision: str, file: str, start: int, count: int) -> bytes:
    """`count` bytes of a file from `start` on; fewer where the server gives fewer."""
    with _quiet():
        response = http_backoff(
            "GET",
            hf_hub_url(repository, file, revision=revision),
            headers={**_headers(), "Range": f"bytes={start}-{start + count - 1}"},
            timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
        )
        hf_raise_for_status(response)
        # A server that ignores ranges sends everything.
        skipped = start if response.status_code == HTTPStatus.OK else 0
        return bytes(response.content[skipped : skipped + count])


def _headers() -> dict[str, str]:
    # Never compressed on the way: a range of a compressed file would be a range of something else.
    return {**build_hf_headers(), "Accept-Encoding": "identity"}


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

    def get() -> Path:
        return Path(
            snapshot_download(
                repository,
                revision=revision,
                allow_patterns=list(files),
                tqdm_class=_byte_counter(progress or _ignore),
            )
        )

    with _quiet():
        return _or_by_http(get)


def _or_by_http(get: Callable[[], Path]) -> Path:
    """Downloads by Xet where the hub offers it and hf_xet is installed; where that fails, by plain HTTP."""
    if not is_xet_available():
        return get()
    try:
        return get()
    except _XET_FAILURES:
        # For all files after this one too: hf_xet tries for a minute before it fails.
        constants.HF_HUB_DISABLE_XET = True
    try:
        return get()
    except BaseException:
        constants.HF_HUB_DISABLE_XET = False  # it was not Xet
        raise


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
            """Draws nothing."""

        def update(self, n: Any = 1) -> Any:
            # Not in `display`: tqdm holds its lock there, and an exception would keep it locked.
            drawn = super().update(n)
            # Bytes may be counted by two bars (received, written); files are counted by another.
            if self.unit == "B":
                most["done"] = max(most["done"], int(self.n))
                most["total"] = max(most["total"], int(self.total or 0))
                progress(most["done"], most["total"])
            return drawn

    return ByteCounter


@contextmanager
def explained(repository: str, revision: str | None) -> Generator[None]:
    """Turns the hub library's errors into ours; the order matters, because they inherit from each other."""
    try:
        yield
    except errors.GatedRepoError as error:
        raise NetworkError(
            f"{repository} wants you to accept its terms first",
            "Accept them on its page and set HF_TOKEN to a token of your account.",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise NetworkError(
            f"{repository} has no revision {revision!r}", "Check --revision, or leave it out."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise NetworkError(
            f"The hub knows no repository {repository}, or does not show it to you",
            "Check the name; for a private one set HF_TOKEN.",
        ) from error
    except errors.HFValidationError as error:
        raise ConversionError(f"{repository!r} is not a hub id", "Give owner/name, or a folder.") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, HTTPError) as error:
        offline = " (HF_HUB_OFFLINE is set)" if constants.is_offline_mode() else ""
        raise NetworkError(
            f"The files of {repository} could not be fetched from {constants.ENDPOINT}{offline}",
            "Check the connection and run the same command again: finished files are not fetched twice. "
            "Or download them elsewhere and give their folder.",
        ) from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise ConversionError(
            f"The cache {constants.HF_HUB_CACHE} can't be written: {error.strerror or error}",
            "Free some space and run the same command again." if full else "Set HF_HOME to another folder.",
        ) from error
