"""The log of an engine's process: one file per process, the last few kept."""

import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from magistral_mlx import places

KEPT = 5
"""Log files kept, the newest."""

_log = logging.getLogger(__name__)


def open_log() -> tuple[BinaryIO, Path] | None:
    """A new log file, open for appending bytes, and its path; None where the folder cannot be written.

    An engine without a log is better than no engine: a full disk must not keep people from asking.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    folder = places.log_directory()
    path = folder / f"engine-{stamp}-{os.getpid()}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.glob("engine-*.log"))[: -(KEPT - 1)]:
            old.unlink(missing_ok=True)
        return path.open("ab"), path
    except OSError as error:
        _log.warning("No engine log at %s: %s", path, error)
        return None
