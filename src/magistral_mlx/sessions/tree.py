"""A conversation as a tree of turns; an edited or repeated question is a sibling of the first one.

    0 ─┬─ 1 "What is 7 + 5?" ── 2 "and times 3?"
       └─ 3 "What is 7 + 6?" ── 4 "and times 3?"      <- the path: 3, 4

User interfaces show and continue the path: from the root, at every fork the sibling that was chosen last.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from magistral_mlx.events import Ending, Stats
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
from magistral_mlx.storage.messages import Options, SavedTurn

ROOT = 0
"""The parent of the first questions."""


@dataclass
class Turn:
    """A question and its reply so far."""

    id: int
    parent: int
    question: str
    at: float
    images: tuple[KeptImage, ...] = ()
    model: str = ""
    system: str | None = None
    options: Options = field(default_factory=Options)
    reasoning_tokens: int = 0
    answer_tokens: int = 0
    ending: Ending | None = None
    """None: it is running, or was interrupted."""
    ended_at: float | None = None
    stats: Stats = field(default_factory=Stats)
    thinking_seconds: float = 0.0

    def __post_init__(self) -> None:
        self._reasoning: list[str] = []
        self._answer: list[str] = []

    @property
    def reasoning(self) -> str:
        """The reasoning so far."""
        return "".join(self._reasoning)

    @property
    def answer(self) -> str:
        """The answer so far."""
        return "".join(self._answer)

    def saved(self) -> SavedTurn:
        """Return the turn for an engine."""
        images = tuple(str(image.path) for image in self.images)
        return SavedTurn(self.question, images, self.reasoning, self.answer)

    def add(self, piece: Piece) -> None:
        """Add a piece; a turn that had ended is running again."""
        self._reasoning += [piece.reasoning] if piece.reasoning else []
        self._answer += [piece.answer] if piece.answer else []
        self.reasoning_tokens += piece.reasoning_tokens
        self.answer_tokens += piece.answer_tokens
        self.ending = None

    def end(self, ended: Ended) -> None:
        """End it."""
        self.ending, self.ended_at, self.stats = ended.ending, ended.at, ended.stats
        self.thinking_seconds = ended.thinking_seconds
        if ended.reasoning is not None:
            self._reasoning = [ended.reasoning]
        if ended.answer is not None:
            self._answer = [ended.answer]


class Tree:
    """One conversation, built from its records; contradicting records are ignored."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.id = ""
        self.began_at = 0.0
        self.title = ""
        self.turns: dict[int, Turn] = {}
        self._children: dict[int, list[int]] = {}
        self._chosen: dict[int, int] = {}
        for record in records:
            self.apply(record)

    def apply(self, record: Record) -> None:
        """Apply the next record."""
        match record:
            case Began():
                self.id, self.began_at = record.id, record.at
            case Asked():
                self._ask(record)
            case Piece():
                if turn := self.turns.get(record.turn):
                    turn.add(record)
            case Ended():
                if turn := self.turns.get(record.turn):
                    turn.end(record)
            case Titled():
                self.title = record.title
            case Chosen():
                self._choose(record.turn)

    @property
    def next_turn(self) -> int:
        """A free number for a turn."""
        return max(self.turns, default=ROOT) + 1

    @property
    def path(self) -> list[Turn]:
        """The shown turns, from the first to the last."""
        path: list[Turn] = []
        at = ROOT
        while (chosen := self._chosen.get(at)) is not None:
            path.append(self.turns[chosen])
            at = chosen
        return path

    def siblings(self, turn: int) -> list[int]:
        """Return `turn` and its siblings, in the order of asking."""
        return list(self._children[self.turns[turn].parent])

    def path_to(self, turn: int) -> list[Turn]:
        """Return the turns from the first one to `turn`; none for the root."""
        path: list[Turn] = []
        while turn != ROOT:
            path.append(self.turns[turn])
            turn = self.turns[turn].parent
        return path[::-1]

    def _ask(self, asked: Asked) -> None:
        # A parent is older than its child: the numbers alone rule out circles.
        if asked.turn in self.turns or asked.turn <= ROOT:
            return
        known = asked.parent == ROOT or (asked.parent in self.turns and asked.parent < asked.turn)
        parent = asked.parent if known else self._leaf()
        self.turns[asked.turn] = Turn(
            asked.turn,
            parent,
            asked.question,
            asked.at,
            asked.images,
            asked.model,
            asked.system,
            asked.options,
        )
        self._children.setdefault(parent, []).append(asked.turn)
        self._choose(asked.turn)

    def _leaf(self) -> int:
        """Return the end of the path, the place of a turn whose parent was lost to a damaged line."""
        path = self.path
        return path[-1].id if path else ROOT

    def _choose(self, turn: int) -> None:
        while turn in self.turns:
            parent = self.turns[turn].parent
            self._chosen[parent] = turn
            turn = parent
