"""The log of defects: what a user can send when a command broke in a way nobody foresaw."""

import platform
import traceback
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from magistral_mlx import places


def write_defect(error: BaseException) -> Path:
    """Append the traceback of `error` to the log and return the log's path.

    The arguments of the command are left out: they hold the user's words.

    Raises:
        OSError: the log cannot be written.
    """
    folder = places.log_directory()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "magistral.log"
    now = datetime.now(UTC).isoformat(timespec="seconds")
    version = metadata.version("magistral-mlx")
    head = f"--- {now} magistral-mlx {version} Python {platform.python_version()} {platform.platform()}"
    with path.open("a", encoding="utf-8", errors="backslashreplace") as log:
        log.write(head + "\n" + "".join(traceback.format_exception(error)) + "\n")
    return path
