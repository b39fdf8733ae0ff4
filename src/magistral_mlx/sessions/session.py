"""One recorded conversation, open for writing: the tree of its turns and the file that grows with it."""

import time
from collections.abc import Callable
from pathlib import Path

from magistral_mlx.errors import SessionError
from magistral_mlx.events import Reply
from magistral_mlx.sessions.journal import Journal, read_records
from magistral_mlx.sessions.records import (
    Asked,
    Began,
    Chosen,
    Ended,
    KeptImage,
    Piece,
    Record,
    Titled,
)
from magistral_mlx.sessions.tree import Tree
from magistral_mlx.storage.messages import Options

LONGEST_WAIT = 0.25
"""A generated piece stays in memory alone for at most so many seconds, ..."""
MOST_WAITING = 2000
"""... and at most so many characters."""


class Session:
    """Record questions and replies as they happen.

    A full disk raises nothing: see `trouble`. While pieces of an answer come, they are written at least every
    `LONGEST_WAIT` seconds; call `flush` once no more come.

    Args:
        path: the file; the first question creates it.
        clock: seconds since 1970.

    Raises:
        SessionError: another process has it open, or it cannot be read or written.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._journal = Journal(path)
        self.tree = read_tree(path) if path.exists() else Tree()
        self.tree.id = path.stem
        self._began = bool(self.tree.began_at or self.tree.turns)
        self._waiting: Piece | None = None
        self._flushed_at = 0.0

    @property
    def id(self) -> str:
        """The conversation's id, the stem of its file's name."""
        return self.tree.id

    @property
    def path(self) -> Path:
        """The file."""
        return self._journal.path

    @property
    def trouble(self) -> str:
        """Why not everything is on the disk, in words; empty if it is."""
        return self._journal.trouble

    @property
    def waiting(self) -> bool:
        """Whether `flush` has something to do."""
        return self._waiting is not None or self._journal.unwritten > 0

    def ask(
        self,
        question: str,
        *,
        parent: int,
        images: tuple[KeptImage, ...] = (),
        model: str = "",
        system: str | None = None,
        options: Options | None = None,
    ) -> int:
        """Add a question below turn `parent` (`tree.ROOT`: at the root); return its turn."""
        turn = self.tree.next_turn
        self._keep(Asked(turn, self._clock(), question, parent, images, model, system, options or Options()))
        return turn

    def add(
        self,
        turn: int,
        *,
        reasoning: str = "",
        answer: str = "",
        reasoning_tokens: int = 0,
        answer_tokens: int = 0,
    ) -> None:
        """Add a piece of the reasoning or of the answer."""
        waiting = self._waiting
        if waiting is not None and waiting.turn != turn:
            self.flush()
            waiting = None
        if waiting is None:
            self._flushed_at = self._clock()
            waiting = Piece(turn)
        self._waiting = Piece(
            turn,
            waiting.reasoning + reasoning,
            waiting.answer + answer,
            waiting.reasoning_tokens + reasoning_tokens,
            waiting.answer_tokens + answer_tokens,
        )
        size = len(self._waiting.reasoning) + len(self._waiting.answer)
        if size >= MOST_WAITING or not 0 <= self._clock() - self._flushed_at < LONGEST_WAIT:
            self.flush()

    def end(self, turn: int, reply: Reply, *, thinking_seconds: float = 0.0) -> None:
        """End the turn with `reply`; its texts replace pieces that differ."""
        self.flush()
        kept = self.tree.turns[turn]
        self._keep(
            Ended(
                turn,
                reply.ending,
                self._clock(),
                reply.stats,
                thinking_seconds,
                None if kept.reasoning == reply.reasoning else reply.reasoning,
                None if kept.answer == reply.answer else reply.answer,
            )
        )

    def rename(self, title: str) -> None:
        """Name the conversation; an empty title removes the name."""
        self._keep(Titled(title.strip()))

    def choose(self, turn: int) -> None:
        """Show `turn` instead of its siblings."""
        self.flush()
        self._keep(Chosen(turn))

    def flush(self) -> None:
        """Try to write everything that is only in memory."""
        piece, self._waiting = self._waiting, None
        if piece is not None:
            self._keep(piece)
        else:
            self._journal.retry()

    def sync(self) -> None:
        """Sync to disk against a power failure; slow, safe in a thread."""
        self._journal.sync()

    def close(self) -> None:
        """Write the rest and release the file."""
        self.flush()
        self._journal.close()

    def _keep(self, record: Record) -> None:
        if not self._began:
            self._began = True
            self._keep(Began(self.id, self._clock()))
        self.tree.apply(record)
        self._journal.append(record)


def read_tree(path: Path) -> Tree:
    """Return the conversation in the file at `path`, for reading only; it may be open elsewhere.

    Raises:
        SessionError: it cannot be read.
    """
    try:
        records, _damaged = read_records(path)
    except OSError as error:
        raise SessionError(
            f"The conversation {path.stem} cannot be read ({error.strerror})", f"Check {path}."
        ) from error
    tree = Tree(records)
    tree.id = path.stem
    return tree
