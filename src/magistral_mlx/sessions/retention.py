"""Remove old deleted conversations for good, with the images that nothing else refers to.

Conversations share images, named by the SHA-256 of their bytes. An image is removed only if its name is in
no conversation, deleted or not, and in no draft, if all of these could be read, and if nobody attached it
lately: a freshly attached image may be in no file yet.
"""

import re
import time
from collections.abc import Iterable
from pathlib import Path

from magistral_mlx.storage.paths import images_directory

TRASH_DAYS = 30
"""Days in which a deleted conversation can be restored."""
_LATELY = 86_400.0
"""Seconds since it was last attached, at least, before an image is removed."""
_NAME = re.compile(rb"[0-9a-f]{64}\.[a-z]{2,5}")


def forget_old(deleted: Iterable[Path], *, folders: Iterable[Path]) -> None:
    """Remove the files of `deleted` that are older than `TRASH_DAYS`, and their images.

    Args:
        deleted: files of deleted conversations.
        folders: folders whose conversations and drafts may refer to images.

    Raises:
        OSError: a file cannot be removed.
    """
    freed: set[bytes] = set()
    for path in deleted:
        if _age(path) > TRASH_DAYS * 86_400:
            freed.update(_NAME.findall(_bytes(path) or b""))
            path.unlink(missing_ok=True)
    if freed:
        _remove_images(freed - _referred(folders, freed))


def _referred(folders: Iterable[Path], names: set[bytes]) -> set[bytes]:
    """Return those of `names` that a file refers to; all of them if a file cannot be read."""
    found: set[bytes] = set()
    for folder in folders:
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_file():
                data = _bytes(path)
                if data is None:
                    return names
                found.update(names.intersection(_NAME.findall(data)))
    return found


def _remove_images(names: Iterable[bytes]) -> None:
    for name in names:
        image = images_directory() / name.decode("ascii")
        if image.is_file() and _age(image) > _LATELY:
            image.unlink(missing_ok=True)
            (image.parent / "small" / f"{image.stem}.png").unlink(missing_ok=True)


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # gone by now: it refers to nothing
        return b""
    except OSError:
        return None


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
