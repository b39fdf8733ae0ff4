"""All recorded conversations: a folder with one file each, and a folder of deleted ones.

There is no index: listing and searching read the files, and remember their content by each file's size and
time. docs/experiments.md has the measurement behind that.
"""

import os
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from magistral_mlx.errors import SessionError
from magistral_mlx.sessions.journal import Journal
from magistral_mlx.sessions.retention import forget_old
from magistral_mlx.sessions.search import Hit, find_words
from magistral_mlx.sessions.session import Session, read_tree
from magistral_mlx.sessions.tree import Tree
from magistral_mlx.storage.paths import sessions_directory

SUFFIX = ".jsonl"
_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
_LONGEST_TITLE = 70


@dataclass(frozen=True)
class Summary:
    """One line of the list."""

    id: str
    title: str
    """Its name, or else the start of its first question; as typed, not sanitized for a screen."""
    updated_at: float
    """Seconds since 1970."""
    turns: int
    """Number of turns on the shown path."""
    model: str
    """The model of the last turn."""


class Library:
    """The conversations in `directory` (default: the one of this user).

    It remembers the files it read; keep one object as long as a list is on the screen.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory or sessions_directory()
        self._read: dict[Path, tuple[tuple[int, int], Tree]] = {}

    @property
    def trash(self) -> Path:
        """Folder of deleted conversations."""
        return self.directory / "deleted"

    @property
    def caches(self) -> Path:
        """Folder for the KV caches of conversations, named by their ids; they can be deleted at any time."""
        return self.directory / "caches"

    def new(self) -> Session:
        """Begin a conversation; its first question creates the file."""
        moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        return Session(self.directory / f"{moment}-{secrets.token_hex(3)}{SUFFIX}")

    def open(self, id: str) -> Session:  # noqa: A002 - the word of the format
        """Open the conversation `id` for continuing.

        Raises:
            SessionError: there is none, or another process has it open.
        """
        return Session(self._existing(id))

    def read(self, id: str) -> Tree:  # noqa: A002
        """Return the conversation `id`, for reading only; it may be open elsewhere.

        Raises:
            SessionError: there is none, or it cannot be read.
        """
        return self._tree(self._existing(id))

    def summaries(self) -> list[Summary]:
        """List all readable conversations, the last used one first."""
        found = [
            _summary(tree, path)
            for path in _files(self.directory)
            if (tree := self._tree_or_none(path)) is not None and tree.turns
        ]
        return sorted(found, key=lambda each: (each.updated_at, each.id), reverse=True)

    def search(self, words: str) -> list[Hit]:
        """Find all of `words` in titles, questions, reasoning or answers; the last used one first."""
        hits: list[Hit] = []
        for summary in self.summaries():
            hit = find_words(words, self._tree(self._path(summary.id)), title=summary.title)
            hits += [hit] if hit else []
        return hits

    def find(self, name: str) -> str:
        """Return the id for `name`: an id, the beginning of one id, a whole title, or "last".

        Raises:
            SessionError: no conversation matches, or more than one.
        """
        summaries = self.summaries()
        if name == "last" and summaries:
            return summaries[0].id
        exact = [each.id for each in summaries if name == each.id]
        found = exact or [each.id for each in summaries if name and each.id.startswith(name)]
        found = found or [each.id for each in summaries if name.casefold() == each.title.casefold()]
        if len(found) == 1:
            return found[0]
        problem = f"{len(found)} conversations are" if found else "No conversation is"
        raise SessionError(f"{problem} called {name!r}", _SEE_LIST)

    def rename(self, id: str, title: str) -> None:  # noqa: A002
        """Name a conversation that is not open; an empty title removes the name.

        Raises:
            SessionError: there is none, it is open, or it cannot be written.
        """
        session = self.open(id)
        session.rename(title)
        trouble = session.trouble
        session.close()
        if trouble:
            raise SessionError(f"The name could not be written: {trouble}", "Make room and try again.")

    def delete(self, id: str) -> None:  # noqa: A002
        """Move a conversation that is not open to the deleted ones; remove old deleted ones for good.

        Raises:
            SessionError: there is none, it is open, or it cannot be moved.
        """
        path = self._existing(id)
        journal = Journal(path)  # held open: nobody else can open it
        try:
            self.trash.mkdir(mode=0o700, exist_ok=True)
            path.replace(self.trash / path.name)
            os.utime(self.trash / path.name)
            (self.caches / f"{id}.kv").unlink(missing_ok=True)
            forget_old(_files(self.trash), folders=(self.directory, self.trash))
        except OSError as error:
            raise SessionError(f"{id} cannot be deleted ({error.strerror})", f"Check {path}.") from error
        finally:
            journal.close()

    def deleted(self) -> list[str]:
        """List the ids of the deleted conversations, the last deleted one first."""
        return [path.stem for path in sorted(_files(self.trash), key=_changed_at, reverse=True)]

    def restore(self, id: str) -> None:  # noqa: A002
        """Restore a deleted conversation.

        Raises:
            SessionError: it is not among the deleted ones, or cannot be moved.
        """
        if id not in self.deleted():
            raise SessionError(f"{id} is not among the deleted conversations", _SEE_DELETED)
        path = self.trash / (id + SUFFIX)
        try:
            path.replace(self._path(id))
        except OSError as error:
            raise SessionError(f"{id} cannot be restored ({error.strerror})", f"Check {path}.") from error

    def _path(self, id: str) -> Path:  # noqa: A002
        if not is_id(id):  # it becomes a part of a path
            raise SessionError(f"{id!r} is not the id of a conversation", _SEE_LIST)
        return self.directory / (id + SUFFIX)

    def _existing(self, id: str) -> Path:  # noqa: A002
        path = self._path(id)
        try:
            found = path.is_file()
        except OSError as error:
            raise SessionError(
                f"{self.directory} cannot be read ({error.strerror})", "Check its permissions."
            ) from error
        if not found:
            raise SessionError(f"There is no conversation {id}", _SEE_LIST)
        return path

    def _tree(self, path: Path) -> Tree:
        try:
            status = path.stat()
        except OSError as error:
            raise SessionError(f"There is no conversation {path.stem}", _SEE_LIST) from error
        version = (status.st_size, status.st_mtime_ns)
        if path not in self._read or self._read[path][0] != version:
            self._read[path] = version, read_tree(path)
        return self._read[path][1]

    def _tree_or_none(self, path: Path) -> Tree | None:
        try:
            return self._tree(path)
        except SessionError:  # deleted meanwhile, or unreadable
            return None


_SEE_LIST = "`magistral sessions list` shows them all."
_SEE_DELETED = "`magistral sessions restore` without a name restores the last one."


def is_id(text: str) -> bool:
    """Whether `text` can be the id of a conversation, safe as a part of a path."""
    return _ID.fullmatch(text) is not None


def title_of(tree: Tree) -> str:
    """Return the conversation's name, or else the start of its first question."""
    path = tree.path
    words = " ".join((tree.title or (path[0].question if path else "")).split())
    return words if len(words) <= _LONGEST_TITLE else words[: _LONGEST_TITLE - 1] + "…"


def _summary(tree: Tree, path: Path) -> Summary:
    turns = tree.path
    last = turns[-1]
    times = [turn.ended_at or turn.at for turn in tree.turns.values()]
    return Summary(path.stem, title_of(tree), max(times), len(turns), last.model)


def _files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.suffix == SUFFIX and is_id(path.stem)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SessionError(f"{folder} cannot be read ({error.strerror})", "Check its permissions.") from error


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
