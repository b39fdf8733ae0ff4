"""Drafts: what is typed and not yet sent. A closed terminal does not lose it.

A draft belongs to a conversation and lies beside its file. The next program takes over the draft of a
conversation that never began, unless the program that wrote it still runs.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from magistral_mlx.errors import EngineError
from magistral_mlx.sessions.library import is_id
from magistral_mlx.storage.atomic import PRIVATE_FOLDER, read_bytes, replace_file
from magistral_mlx.storage.messages import Reader, to_json

_SUFFIX = ".draft"
_LARGEST = 64 * 1024 * 1024


@dataclass(frozen=True)
class Draft:
    """Typed text and attached images."""

    text: str = ""
    images: tuple[str, ...] = ()
    """Paths of the kept images."""
    names: tuple[str, ...] = ()
    """Original names of the images, in the same order."""


class _File(msgspec.Struct, frozen=True):
    """The content of a draft's file."""

    text: str = ""
    pictures: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    process: int | None = None
    """Id of the process that wrote it."""


_READER: Reader[_File] = Reader(_File)


def save_draft(conversation: Path, draft: Draft) -> None:
    """Save `draft` for the conversation whose file is (or will be) `conversation`; an empty one is removed.

    Raises:
        OSError: it cannot be written.
    """
    path = conversation.with_suffix(_SUFFIX)
    if not draft.text and not draft.images:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    content = to_json(_File(draft.text, draft.images, draft.names, os.getpid()), ascii_only=True)
    replace_file(path, content.encode(), durable=False)


def load_draft(conversation: Path) -> Draft:
    """Return the draft of `conversation`; an empty one if there is none, or it is damaged."""
    file = _read(conversation.with_suffix(_SUFFIX))
    return Draft(file.text, file.pictures, file.names)


def take_orphan(directory: Path) -> Draft:
    """Take the last draft in `directory` that has no conversation and whose program is gone."""
    orphans = [path for path in _drafts(directory) if _is_orphan(path)]
    orphans.sort(key=lambda path: path.name, reverse=True)
    for path in orphans:
        draft = load_draft(path)
        path.unlink(missing_ok=True)
        if draft.text or draft.images:
            return draft
    return Draft()


def _drafts(directory: Path) -> list[Path]:
    try:
        return [path for path in directory.iterdir() if path.suffix == _SUFFIX and is_id(path.stem)]
    except OSError:
        return []


def _is_orphan(path: Path) -> bool:
    if path.with_suffix(".jsonl").exists():
        return False
    process = _read(path).process
    return process is None or process == os.getpid() or not _runs(process)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError, ValueError):
        return False
    except PermissionError:
        return True
    return True


def _read(path: Path) -> _File:
    try:
        return _READER.read(read_bytes(path, most=_LARGEST))
    except (OSError, EngineError):
        return _File()
