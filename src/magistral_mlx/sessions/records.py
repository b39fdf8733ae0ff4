"""The lines of a conversation's file: small frozen records, one JSON object each.

    began, then any order of: asked, piece, ended, titled, chosen

A line holds one record and ends with a newline. A record that was cut off is never valid JSON, so a reader
drops it and loses nothing else. Records of unknown kind and unknown fields are skipped: a newer program may
have written them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import ClassVar, cast

from magistral_mlx.errors import EngineError
from magistral_mlx.events import Ending, Stats
from magistral_mlx.storage import messages

FORMAT = 1
"""The version of this format; a file of a newer one is read as far as it is understood."""


@dataclass(frozen=True)
class KeptImage:
    """An image of a question; its bytes lie in the folder of kept images, named by their SHA-256."""

    name: str
    """The name of the file that was attached, as its owner wrote it."""
    file: str
    """Name in the folder of kept images: 64 hexadecimal digits and a suffix."""
    format: str = ""
    width: int | None = None
    height: int | None = None
    bytes_count: int = 0


@dataclass(frozen=True)
class Options:
    """How a question was asked, as far as it differs from the defaults."""

    thinking: bool = True
    thinking_budget: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Began:
    """The first record."""

    KIND: ClassVar[str] = "began"
    id: str
    at: float
    """Seconds since 1970, as every time here."""
    format: int = FORMAT


@dataclass(frozen=True)
class Asked:
    """A question begins `turn` below `parent` (0: at the beginning); siblings share their parent."""

    KIND: ClassVar[str] = "asked"
    turn: int
    at: float
    question: str = ""
    parent: int = 0
    images: tuple[KeptImage, ...] = ()
    model: str = ""
    system: str | None = None
    options: Options = field(default_factory=Options)


@dataclass(frozen=True)
class Piece:
    """What was generated since the last record of this turn."""

    KIND: ClassVar[str] = "piece"
    turn: int
    reasoning: str = ""
    answer: str = ""
    reasoning_tokens: int = 0
    answer_tokens: int = 0


@dataclass(frozen=True)
class Ended:
    """How the turn ended; a turn that goes on later ends again. No such record: it was broken off."""

    KIND: ClassVar[str] = "ended"
    turn: int
    ending: Ending
    at: float
    stats: Stats = field(default_factory=Stats)
    thinking_seconds: float = 0.0
    reasoning: str | None = None
    """The whole thought, where it is not what the pieces say; likewise the answer."""
    answer: str | None = None


@dataclass(frozen=True)
class Titled:
    """The conversation was named; an empty title takes the name away."""

    KIND: ClassVar[str] = "titled"
    title: str = ""


@dataclass(frozen=True)
class Chosen:
    """Of the siblings of `turn`, this one is shown."""

    KIND: ClassVar[str] = "chosen"
    turn: int


Record = Began | Asked | Piece | Ended | Titled | Chosen

_OLD_NAMES = {"pictures": "images"}
"""Fields of records that earlier versions wrote."""
_KINDS: dict[str, type[Record]] = {cls.KIND: cls for cls in (Began, Asked, Piece, Ended, Titled, Chosen)}
_DEFAULTS: dict[type[Record], dict[str, object]] = {
    cls: {
        each.name: each.default if each.default_factory is MISSING else each.default_factory()
        for each in fields(cls)
    }
    for cls in _KINDS.values()
}
"""By field; MISSING where there is none."""


def encode(record: Record) -> bytes:
    """`record` as one line, its newline included; what has its default value is left out."""
    values = {
        name: messages.dump(value)
        for name, default in _DEFAULTS[type(record)].items()
        if (value := getattr(record, name)) != default
    }
    line = json.dumps({"record": record.KIND, **values}, ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate (half of a character, as a file name may hold) has no UTF-8; it must not cost the turn.
    return line.encode("utf-8", "surrogatepass") + b"\n"


def decode(line: bytes) -> Record | None:
    """The record of one line; None if it is none, is damaged, or of a kind that is not known here."""
    try:
        raw: object = json.loads(line.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(raw, dict):
        return None
    values = cast("dict[str, object]", raw)
    kind = values.get("record")
    if kind == Piece.KIND:
        return _piece(values)
    cls = _KINDS.get(kind) if isinstance(kind, str) else None
    return None if cls is None else _build(cls, values)


def _piece(values: Mapping[str, object]) -> Piece | None:
    """By hand, because nearly all lines are pieces: a list of conversations opens three times as fast."""
    match values:
        case {"turn": int(turn)}:
            reasoning, answer = values.get("reasoning", ""), values.get("answer", "")
            thought, said = values.get("reasoning_tokens", 0), values.get("answer_tokens", 0)
            match reasoning, answer, thought, said:
                case str(), str(), int(), int():
                    return Piece(turn, reasoning, answer, thought, said)
                case _:
                    return None
        case _:
            return None


def _build(cls: type[Record], values: Mapping[str, object]) -> Record | None:
    known = {_OLD_NAMES.get(name, name): value for name, value in values.items()}
    known = {name: value for name, value in known.items() if name in _DEFAULTS[cls]}
    try:
        checked = messages.load_fields(cls, known, where=cls.KIND)
    except EngineError:
        return None
    return cast("Callable[..., Record]", cls)(**checked)
