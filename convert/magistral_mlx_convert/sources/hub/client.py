"""The adapter to huggingface_hub: list a revision, fetch named files of it, read bytes of one file.

Nothing that a hub says is trusted: names, sizes, commits and checksums are checked where they enter.
"""

# tqdm has no types, and huggingface_hub's are partial because of it; nothing of that leaves this file.
# mypy: disable-error-code="import-untyped,misc,attr-defined"
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportCallIssue=false, reportArgumentType=false, reportPrivateImportUsage=false

import errno
import io
import re
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from logging import ERROR
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import (
    HfApi,
    RepoFile,
    constants,
    errors,
    get_session,
    hf_hub_download,
    hf_hub_url,
    logging,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.utils import (
    build_hf_headers,
    hf_raise_for_status,
    http_stream_backoff,
    is_package_available,
)
from tqdm import tqdm

from magistral_mlx.errors import ConversionError, NetworkError
from magistral_mlx_convert.sources.hub.checksums import Checksum
from magistral_mlx_convert.sources.hub.growing_file import GrowingFile

HTTPError: type[Exception] = errors.HTTPError
"""Base error of the library's HTTP client: of httpx or httpx2, by version; `errors` re-exports it."""

_XET_FAILURES = (RuntimeError, PermissionError, FileNotFoundError, errors.HfHubHTTPError)
"""Errors of hf_xet and of the request for its token. A hub that refuses does so again without Xet."""

_TRIES = 6
"""Tries of a download without a single new byte."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_DIGEST_HEADERS = ("ETag", "X-Linked-Etag", "X-Repo-Commit")
"""Headers that the hub library makes file names of."""


@dataclass(frozen=True)
class RemoteFile:
    """One file of a revision."""

    size: int
    checksum: Checksum


def remote_files(repository: str, *, revision: str) -> dict[str, RemoteFile]:
    """List the files of a repository by their path in it.

    Raises:
        NetworkError: a path, size or checksum is none.
    """
    with _session():
        api = HfApi(endpoint=constants.ENDPOINT)
        entries = api.list_repo_tree(repository, revision=revision, recursive=True)
        return {entry.path: _remote_file(entry) for entry in entries if isinstance(entry, RepoFile)}


def _remote_file(entry: RepoFile) -> RemoteFile:
    kind, digest = ("sha256", entry.lfs.sha256) if entry.lfs else ("git", entry.blob_id)
    path = PurePosixPath(entry.path)
    if path.is_absolute() or ".." in path.parts or not entry.path.isprintable() or "\\" in entry.path:
        raise _hostile(f"the file name {entry.path!r:.80}")
    if type(entry.size) is not int or entry.size < 0:
        raise _hostile(f"the size {entry.size!r:.40} for {entry.path:.80}")
    if not Checksum.is_valid(kind, digest):
        raise _hostile(f"the checksum {digest!r:.80} for {entry.path:.80}")
    return RemoteFile(size=entry.size, checksum=Checksum(kind, digest))


def _hostile(what: str) -> NetworkError:
    return NetworkError(
        f"{constants.ENDPOINT} gave {what}, which can't be right",
        "Check HF_ENDPOINT, and convert from a hub that you trust.",
    )


def _check_answer(response: Any) -> None:
    """Refuse an answer whose commit or ETag the hub library would make an unsafe path of."""
    # The library takes names from HEAD alone; a CDN's own ETag on a GET may hold any character.
    for header in _DIGEST_HEADERS if response.request.method == "HEAD" else ():
        value = response.headers.get(header, "").removeprefix("W/").strip('"')
        if value and ("/" in value or "\\" in value or value in (".", "..")):
            raise _hostile(f"the {header} {value!r:.80}")
    if "/api/models/" in response.request.url.path and response.status_code == HTTPStatus.OK:
        response.read()
        try:
            answer: object = response.json()
        except (ValueError, RecursionError) as error:
            raise _hostile(f"no JSON at {response.request.url.path:.80}") from error
        commit = answer.get("sha") if isinstance(answer, dict) else None
        if commit is not None and not (isinstance(commit, str) and _COMMIT.fullmatch(commit)):
            raise _hostile(f"the commit {commit!r:.80}")


def is_offline() -> bool:
    """Tell if `HF_HUB_OFFLINE` forbids the network."""
    return constants.is_offline_mode()


def cache_path() -> Path:
    """Return the path of the library's cache, which need not exist."""
    return Path(constants.HF_HUB_CACHE)


def cache_folder() -> Path:
    """Return the library's cache; make it where it is missing."""
    folder = cache_path()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def cached(repository: str, *, revision: str, file: str) -> Path | None:
    """Find a file in the library's cache; None where it is not there."""
    found = try_to_load_from_cache(repository, file, cache_dir=constants.HF_HUB_CACHE, revision=revision)
    return Path(found) if isinstance(found, str) else None


def download_to_cache(
    repository: str, *, revision: str, file: str, progress: Callable[[int, int], None]
) -> Path:
    """Fetch one file into the library's cache; continue an earlier download."""

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

    with _session():
        return _or_by_http(get)


def fetch(repository: str, *, revision: str, file: str, size: int, into: GrowingFile) -> None:
    """Append what `into` lacks of a file; try again where the connection breaks.

    Raises:
        NetworkError: the hub sent more bytes than it said, or keeps ending early.
    """
    url = hf_hub_url(repository, file, revision=revision)
    tries = _TRIES
    while (start := into.tell()) < size:
        try:
            _append(url, start, size, into)
            broken: Exception = NetworkError(
                f"{file} of {repository} ended after {into.tell()} of {size} bytes",
                "Check the connection and run the same command again.",
            )
        except errors.HfHubHTTPError:
            raise  # an answer, not a broken connection
        except HTTPError as error:
            broken = error
        if into.tell() == size:
            return
        tries = _TRIES if into.tell() > start else tries - 1
        if not tries:
            raise broken
        time.sleep(1)


def _append(url: str, start: int, size: int, into: GrowingFile) -> None:
    headers = _headers() | ({"Range": f"bytes={start}-"} if start else {})
    with (
        _session(),
        http_stream_backoff(
            "GET",
            url,
            headers=headers,
            timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
            retry_on_exceptions=(),
            retry_on_status_codes=(HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS),
        ) as response,
    ):
        hf_raise_for_status(response)
        if start and response.status_code == HTTPStatus.OK:
            into.restart()  # the server ignores ranges and sends everything
        for block in response.iter_bytes(constants.DOWNLOAD_CHUNK_SIZE):
            if into.tell() + len(block) > size:
                raise _hostile(f"more than the {size} bytes it announced")
            into.write(block)


def bytes_of(repository: str, *, revision: str, file: str, start: int, count: int) -> bytes:
    """Fetch `count` bytes of a file from `start` on; fewer where the server sends fewer."""
    headers = {**_headers(), "Range": f"bytes={start}-{start + count - 1}"}
    url = hf_hub_url(repository, file, revision=revision)
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    got = bytearray()
    with _session(), http_stream_backoff("GET", url, headers=headers, timeout=timeout) as response:
        hf_raise_for_status(response)
        # A server that ignores ranges sends everything.
        skipped = start if response.status_code == HTTPStatus.OK else 0
        for block in response.iter_bytes(constants.DOWNLOAD_CHUNK_SIZE):
            got += block
            if len(got) >= skipped + count:
                break
    return bytes(got[skipped : skipped + count])


def _headers() -> dict[str, str]:
    # Never compressed: a range of a compressed file would be a range of something else.
    return {**build_hf_headers(), "Accept-Encoding": "identity"}


def download(
    repository: str,
    *,
    revision: str | None,
    files: Sequence[str],
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Fetch those of `files` that exist and are not cached; return the snapshot's folder.

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

    with _session():
        return _or_by_http(get)


def _or_by_http(get: Callable[[], Path]) -> Path:
    """Download by Xet where the hub offers it and hf_xet is installed; where that fails, by plain HTTP."""
    if constants.HF_HUB_DISABLE_XET or not is_package_available("hf_xet"):
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
def _session() -> Generator[None]:
    """Silence the hub library's own warnings, and check every answer it gets."""
    before = logging.get_verbosity()
    logging.set_verbosity(ERROR)
    client = get_session()
    hooks: dict[str, list[Any]] = client.event_hooks
    if _check_answer not in hooks["response"]:
        client.event_hooks = {**hooks, "response": [*hooks["response"], _check_answer]}
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _ignore(_done: int, _total: int) -> None:
    pass


def _byte_counter(progress: Callable[[int, int], None]) -> type[Any]:
    """Make a progress bar class for the library that draws nothing and passes the bytes on."""
    most = {"done": 0, "total": 0}

    class ByteCounter(tqdm):  # pyright: ignore[reportMissingTypeArgument]  # at runtime it takes none
        # No watching thread: one bar more or less is not worth it.
        monitor_interval = 0

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": False, "file": io.StringIO()})

        def display(self, *_: Any, **__: Any) -> None:
            """Draw nothing."""

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
    """Turn the hub library's errors into ours; the order matters, because they inherit from each other."""
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
