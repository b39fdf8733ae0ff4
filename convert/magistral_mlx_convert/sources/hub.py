"""A hub id: only the files that are needed, into the hub library's own cache, which resumes and reuses them.

`HF_ENDPOINT`, `HF_HOME`, `HF_TOKEN` and `HF_HUB_OFFLINE` mean what they mean everywhere: the hub library
reads them. Of Magistral's 96 GB the half in Mistral's own format is left where it is.
"""

import errno
import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import constants, errors

from magistral_mlx.errors import ConversionError, NetworkError
from magistral_mlx_convert.progress import Progress, Stage
from magistral_mlx_convert.sources.hub_client import HTTPError, download, missing_bytes
from magistral_mlx_convert.sources.huggingface import (
    INDEX_FILE,
    SINGLE_FILE,
    SMALL_FILES,
    HuggingFaceFolder,
    weight_files,
)
from magistral_mlx_convert.sources.source import Provenance
from magistral_mlx_convert.workplace import SPARE_BYTES, in_gb


def open_hub(
    repository: str, *, revision: str | None, progress: Callable[[Progress], None]
) -> HuggingFaceFolder:
    """Downloads what the cache lacks and opens it; the revision is pinned to its commit with the first file.

    Args:
        repository: `owner/name`.
        revision: branch, tag or commit; the default branch without it.
        progress: may be called from a thread of the hub library.

    Raises:
        NetworkError: the hub can't be reached, or does not know the repository or the revision.
        ConversionError: the repository holds no weights of this format, or the disk is too full for them.
        CheckpointError: a downloaded file is damaged.
    """
    with _explained(repository, revision):
        folder = download(repository, revision=revision, files=SMALL_FILES)
        weights = sorted(weight_files(folder)) if (folder / INDEX_FILE).is_file() else [SINGLE_FILE]
        # The snapshot's folder is named after the commit.
        commit = folder.name
        _check_weights(repository, commit, weights)

        def tell(done: int, total: int) -> None:
            progress(Progress(stage=Stage.DOWNLOAD, bytes_done=done, bytes_total=total))

        folder = download(repository, revision=commit, files=weights, progress=tell)
    return HuggingFaceFolder(
        folder, provenance=Provenance(kind="huggingface-hub", name=repository, revision=commit)
    )


def _check_weights(repository: str, commit: str, weights: Sequence[str]) -> None:
    if constants.is_offline_mode():
        return
    missing = missing_bytes(repository, revision=commit, files=weights)
    if absent := sorted(set(weights) - set(missing)):
        raise ConversionError(
            f"{repository} holds no {absent[0]}",
            "Take a repository in Hugging Face format, such as mistralai/Magistral-Small-2509.",
        )
    wanted = sum(missing.values())
    cache = Path(constants.HF_HUB_CACHE)
    free = shutil.disk_usage(cache).free
    if wanted and free < wanted + SPARE_BYTES:
        raise ConversionError(
            f"The cache {cache} has {in_gb(free)} free, but {in_gb(wanted)} are to be downloaded",
            "Free some space, or set HF_HOME to a folder on another disk.",
        )


@contextmanager
def _explained(repository: str, revision: str | None) -> Generator[None]:
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
