"""The lines of a conversation's file: small frozen records, one JSON object each.

    began, then any order of: asked, piece, ended, titled, chosen

A line holds one record and ends with a newline. A record that was cut off is never valid JSON: a reader drops
it and loses nothing else. Readers skip unknown fields and records of unknown kind: newer versions write them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import msgspec

from magistral_mlx.errors import EngineError
from magistral_mlx.events import Ending, Stats
from magistral_mlx.storage.messages import Options, Reader, to_json
from magistral_mlx.storage.paths import images_directory

FORMAT = 1
"""The version of this format; readers take from a newer file whatever they understand."""


@dataclass(frozen=True)
class KeptImage:
    """An image of a question; its bytes lie in the folder of kept images, named by their SHA-256."""

    name: str
    """The original name of the attached file."""
    file: str
    """Name in the folder of kept images: 64 hexadecimal digits and a suffix."""
    format: str = ""
    width: int | None = None
    height: int | None = None
    bytes_count: int = 0

    @property
    def path(self) -> Path:
        """Where its bytes lie. Only the last part of `file` counts: no record leads out of the folder."""
        return images_directory() / self.file.replace("\\", "/").rpartition("/")[2]


class _Record(msgspec.Struct, frozen=True, tag_field="record", tag=str.lower, omit_defaults=True):
    """Base of all records; times are seconds since 1970."""


class Began(_Record, frozen=True):
    """The first record."""

    id: str
    at: float
    format: int = FORMAT


class Asked(_Record, frozen=True):
    """A question begins `turn` below `parent` (0: at the root); siblings share their parent."""

    turn: int
    at: float
    question: str = ""
    parent: int = 0
    images: tuple[KeptImage, ...] = ()
    """Named "pictures" by earlier versions."""
    model: str = ""
    system: str | None = None
    options: Options = Options()


class Piece(_Record, frozen=True):
    """New text since the last record of this turn."""

    turn: int
    reasoning: str = ""
    answer: str = ""
    reasoning_tokens: int = 0
    answer_tokens: int = 0


class Ended(_Record, frozen=True):
    """How the turn ended; a continued turn ends again. Without this record, the turn was interrupted."""

    turn: int
    ending: Ending
    at: float
    stats: Stats = Stats()
    thinking_seconds: float = 0.0
    reasoning: str | None = None
    """The whole reasoning, where it differs from that of the pieces; likewise the answer."""
    answer: str | None = None


class Titled(_Record, frozen=True):
    """The conversation got a name; an empty title removes it."""

    title: str = ""


class Chosen(_Record, frozen=True):
    """`turn` is shown instead of its siblings."""

    turn: int


Record: TypeAlias = Began | Asked | Piece | Ended | Titled | Chosen
_READER: Reader[Record] = Reader(Record)


def encode(record: Record) -> bytes:
    """Return `record` as one line, its newline included; default values are left out."""
    # A lone surrogate, as in some names of files, has no UTF-8; "surrogatepass" keeps the turn readable.
    return to_json(record, ascii_only=False).encode("utf-8", "surrogatepass") + b"\n"


def decode(line: bytes) -> Record | None:
    """Return the record of one line; None if it is damaged or of an unknown kind."""
    # Earlier versions wrote "pictures". Only a key has these bytes: in a text, its quotes would be escaped.
    line = line.replace(b'"pictures":', b'"images":')
    try:
        return _READER.read(line)
    except EngineError:
        return None
