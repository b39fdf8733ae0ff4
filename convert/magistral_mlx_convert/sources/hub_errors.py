"""What can go wrong with the hub, in our words."""

import errno
from collections.abc import Generator
from contextlib import contextmanager

from huggingface_hub import constants, errors

from magistral_mlx.errors import ConversionError, NetworkError
from magistral_mlx_convert.sources.hub_client import HTTPError


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
