"""What is typed and not yet sent, so that a closed terminal does not cost it.

A draft belongs to a conversation and lies beside its file. The draft of a conversation that never began is
taken over by the next program that starts, unless the program that wrote it still runs.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from magistral_mlx.sessions.library import is_id

_SUFFIX = ".draft"


@dataclass(frozen=True)
class Draft:
    """What was typed, and the attached images."""

    text: str = ""
    images: tuple[str, ...] = ()
    """The paths of their kept bytes."""
    names: tuple[str, ...] = ()
    """What the images were called, in the same order."""


def save_draft(conversation: Path, draft: Draft) -> None:
    """Keep `draft` for the conversation whose file is (or will be) `conversation`; an empty one goes away.

    Raises:
        OSError: it cannot be written.
    """
    path = conversation.with_suffix(_SUFFIX)
    if not draft.text and not draft.images:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    values = {
        "text": draft.text,
        "pictures": list(draft.images),
        "names": list(draft.names),
        "process": os.getpid(),
    }
    try:
        part.write_bytes(json.dumps(values).encode())
        part.chmod(0o600)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load_draft(conversation: Path) -> Draft:
    """The draft of `conversation`; an empty one if there is none, or it is damaged."""
    values = _read(conversation.with_suffix(_SUFFIX))
    text = values.get("text")
    return Draft(
        text if isinstance(text, str) else "", _strings(values.get("pictures")), _strings(values.get("names"))
    )


def _strings(value: object) -> tuple[str, ...]:
    listed = cast("list[object]", value) if isinstance(value, list) else []
    return tuple(each for each in listed if isinstance(each, str))


def take_orphan(directory: Path) -> Draft:
    """Take the last draft of a conversation in `directory` that never began, and whose program is gone."""
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
    process = _read(path).get("process")
    return not isinstance(process, int) or process == os.getpid() or not _runs(process)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError, ValueError):
        return False
    except PermissionError:
        return True
    return True


def _read(path: Path) -> dict[str, object]:
    try:
        values: object = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return cast("dict[str, object]", values) if isinstance(values, dict) else {}
