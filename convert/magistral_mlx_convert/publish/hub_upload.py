"""Uploading a converted folder to the hub: large files first, one commit at the end, so whole or not at all.

What the hub has already (a file of the same SHA-256, or parts of one with Xet) is not sent again: the same
command goes on after an interruption.
"""

# huggingface_hub's types are partial because of what it builds on; nothing of that leaves this file.
# mypy: disable-error-code="attr-defined"
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable, Generator
from contextlib import contextmanager
from logging import ERROR
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, errors, logging
from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

from magistral_mlx.checkpoint.manifest import verify_folder
from magistral_mlx.errors import CheckpointError, NetworkError
from magistral_mlx_convert.report.card import MANIFEST_FILE
from magistral_mlx_convert.sources.hub.client import HTTPError

_MESSAGE = "Converted with magistral-mlx"
_LARGE = ".safetensors"
_WEIGHTS = (_LARGE, ".safetensors.index.json")


def upload_to_hub(
    folder: Path,
    repository: str,
    *,
    public: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> str:
    """Upload this folder into `repository`; a new repository is private unless `public`.

    Every file is compared with the manifest first; files that it does not know stay here. Weights that the
    repository held and this folder does not are deleted in the same commit: loaders read all they find.

    Args:
        folder: written by `magistral convert`.
        repository: `owner/name`.
        public: of a repository that is made; one that exists stays as it is.
        progress: called with a file's name, the bytes sent before it and the bytes in all.

    Returns:
        The repository's address.

    Raises:
        CheckpointError: a file is not as it was written.
        NetworkError: the hub refuses or does not answer.
    """
    names = _files(folder)
    sizes = {name: (folder / name).stat().st_size for name in names}
    total, done = sum(sizes.values()), 0
    with _explained(repository), _quiet():
        api = HfApi(endpoint=constants.ENDPOINT)
        address = api.create_repo(repository, private=not public, exist_ok=True)
        additions = [CommitOperationAdd(name, str(folder / name)) for name in names]
        for addition in additions:
            if progress is not None:
                progress(addition.path_in_repo, done, total)
            if addition.path_in_repo.endswith(_LARGE):
                api.preupload_lfs_files(repository, additions=[addition])
            done += sizes[addition.path_in_repo]
        stale = [
            CommitOperationDelete(name)
            for name in api.list_repo_files(repository)
            if name.endswith(_WEIGHTS) and name not in sizes
        ]
        api.create_commit(repository, [*additions, *stale], commit_message=_MESSAGE)
    if progress is not None:
        progress(MANIFEST_FILE, total, total)
    return str(address)


def _files(folder: Path) -> list[str]:
    """The files of the manifest, after they were found to be as it says, small ones first."""
    found = verify_folder(folder)
    wrong = [bad for bad in found.bad if (folder / bad.name).name in found.names]
    if wrong:
        raise CheckpointError(
            f"{folder / wrong[0].name} {wrong[0].problem}; nothing was uploaded",
            "Convert the model again.",
        )
    return sorted(found.names, key=lambda name: (name.endswith(_LARGE), name))


@contextmanager
def _quiet() -> Generator[None]:
    """The library's bars and warnings are for its own users."""
    before = logging.get_verbosity()
    logging.set_verbosity(ERROR)
    disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        enable_progress_bars()


@contextmanager
def _explained(repository: str) -> Generator[None]:
    try:
        yield
    except errors.HFValidationError as error:
        raise NetworkError(f"{repository!r} is not a name on the hub", "Give owner/name.") from error
    except (*_REFUSED, *_SILENT) as error:
        raise _failure(error, repository) from error
    except RuntimeError as error:  # so the library names the file in which one of the others arose
        if not isinstance(error.__cause__, (*_REFUSED, *_SILENT)):
            raise
        raise _failure(error.__cause__, repository) from error


_REFUSED = (errors.LocalTokenNotFoundError, errors.HfHubHTTPError)
_SILENT = (errors.OfflineModeIsEnabled, HTTPError, OSError)


def _failure(error: BaseException, repository: str) -> NetworkError:
    again = "Run the same command again: what arrived is not sent twice."
    status = _status(error)
    if status in (401, 403) or isinstance(error, errors.LocalTokenNotFoundError):
        return NetworkError(
            f"The hub does not let you write to {repository}",
            "Set HF_TOKEN to a token with the right to write there.",
        )
    if isinstance(error, errors.HfHubHTTPError):
        return NetworkError(f"The hub refused the upload to {repository} ({status or error})", again)
    offline = " (HF_HUB_OFFLINE is set)" if constants.is_offline_mode() else ""
    return NetworkError(f"{constants.ENDPOINT} did not accept the upload to {repository}{offline}", again)


def _status(error: BaseException) -> int | None:
    response: object = getattr(error, "response", None)
    status: object = getattr(response, "status_code", None)
    return status if isinstance(status, int) else None
