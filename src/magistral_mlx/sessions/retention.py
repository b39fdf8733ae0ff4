"""Deleted conversations of long ago go for good, and with them the images that nothing else refers to.

An image is kept once for all conversations, by the SHA-256 of its bytes. It goes only if no conversation,
deleted or not, and no draft has its name anywhere in its bytes, if all of them could be read, and if nobody
attached it lately: what was attached a moment ago may not stand in any file yet.
"""

import re
import time
from collections.abc import Iterable
from pathlib import Path

from magistral_mlx.storage.paths import images_directory

TRASH_DAYS = 30
"""How long a deleted conversation can be brought back."""
_LATELY = 86_400.0
"""Seconds since an image was attached for the last time, at least."""
_NAME = re.compile(rb"[0-9a-f]{64}\.[a-z]{2,5}")


def forget_old(deleted: Iterable[Path], *, folders: Iterable[Path]) -> None:
    """Remove those files of `deleted` that lie there for more than `TRASH_DAYS`, and their images.

    Args:
        deleted: files of deleted conversations.
        folders: where conversations and drafts may refer to images.

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
    """Those of `names` that a file refers to; all of them where one cannot be read."""
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
    except FileNotFoundError:  # gone meanwhile: it refers to nothing
        return b""
    except OSError:
        return None


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
