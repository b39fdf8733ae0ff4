"""The adapter to kagglehub: one file of one model. It is an extra, and imported when a handle is given."""

# kagglehub is optional: where it is not installed, the type checkers find nothing.
# mypy: disable-error-code="import-not-found,import-untyped,unused-ignore"
# pyright: reportMissingImports=false, reportMissingTypeStubs=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import contextlib
import io
import logging
from collections.abc import Generator
from http import HTTPStatus
from pathlib import Path

from magistral_mlx.errors import ConversionError, NetworkError


def download(handle: str, file: str) -> Path | None:
    """Fetches one file into kagglehub's cache and gives its path; None where the model has none of that name.

    Raises:
        ConversionError: kagglehub is not installed.
        NetworkError: Kaggle did not answer, or does not show the model.
    """
    try:
        import kagglehub
        import requests
        from kagglehub import exceptions
    except ImportError as error:
        raise ConversionError(
            "Models on Kaggle need the library kagglehub, which is not installed",
            "Install it: pip install 'magistral-mlx[kaggle]'.",
        ) from error
    try:
        with _quiet():
            return Path(kagglehub.model_download(handle, file))
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else None
        if status == HTTPStatus.NOT_FOUND:
            return None
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise NetworkError(
                f"Kaggle does not show {handle} to you",
                "Accept its terms on its page, and put your key into ~/.kaggle/kaggle.json "
                "or set KAGGLE_USERNAME and KAGGLE_KEY.",
            ) from error
        raise _unreachable(handle, file) from error
    except (
        requests.RequestException,
        exceptions.UnauthenticatedError,
        exceptions.DataCorruptionError,
    ) as error:
        raise _unreachable(handle, file) from error
    except OSError as error:
        raise ConversionError(
            f"kagglehub's cache can't be written: {error.strerror or error}",
            "Free some space, or set KAGGLEHUB_CACHE to a folder on another disk.",
        ) from error


def _unreachable(handle: str, file: str) -> NetworkError:
    return NetworkError(
        f"{file} of {handle} could not be fetched from Kaggle",
        "Check the connection and run the same command again: finished files are not fetched twice.",
    )


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """The library draws bars, prints hints about its own version and logs; stdout is for the result."""
    logger = logging.getLogger("kagglehub")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
