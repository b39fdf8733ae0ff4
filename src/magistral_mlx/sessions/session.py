"""One kept conversation, open for going on: the tree of its turns and the file that grows with it."""

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
    Options,
    Piece,
    Record,
    Titled,
)
from magistral_mlx.sessions.tree import Tree

LONGEST_WAIT = 0.25
"""Seconds that a generated piece may stay in memory alone, and ..."""
MOST_WAITING = 2000
"""... characters."""


class Session:
    """Keeps what is asked and generated as it happens.

    Nothing here fails for a full disk: see `trouble`. Pieces of a running answer are written at least every
    `LONGEST_WAIT` seconds as long as pieces come; whoever stops reading pieces calls `flush`.

    Args:
        path: the file; it begins to exist with the first question.
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
        """The conversation's name among files."""
        return self.tree.id

    @property
    def path(self) -> Path:
        """The file."""
        return self._journal.path

    @property
    def trouble(self) -> str:
        """Why not everything is on the disk, in words; empty when it is."""
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
        """A question is put below turn `parent` (`tree.ROOT`: at the beginning); returns its turn."""
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
        """A piece of the thought or of the answer came."""
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
        """The turn ended as `reply` says; its texts count where the pieces say something else."""
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
        """Give the conversation a name; an empty one takes it away."""
        self._keep(Titled(title.strip()))

    def choose(self, turn: int) -> None:
        """Show `turn` instead of its siblings."""
        self.flush()
        self._keep(Chosen(turn))

    def flush(self) -> None:
        """Write everything that is only in memory, or try to."""
        piece, self._waiting = self._waiting, None
        if piece is not None:
            self._keep(piece)
        else:
            self._journal.retry()

    def sync(self) -> None:
        """Make the disk keep it also if the power fails; takes a while, safe in a thread."""
        self._journal.sync()

    def close(self) -> None:
        """Write the rest and let other processes have it."""
        self.flush()
        self._journal.close()

    def _keep(self, record: Record) -> None:
        if not self._began:
            self._began = True
            self._keep(Began(self.id, self._clock()))
        self.tree.apply(record)
        self._journal.append(record)


def read_tree(path: Path) -> Tree:
    """The conversation in the file at `path`, for reading only; it may be open elsewhere.

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
