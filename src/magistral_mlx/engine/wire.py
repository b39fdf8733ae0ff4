"""Messages as lines of JSON between a user interface and its child process.

A line is the list [turn, message]: the number of the request that the message belongs to (0: none), and the
type and fields of the message. Lines are ASCII; the only line break is the end.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import msgspec

from magistral_mlx.engine.protocol import (
    Answer,
    AnyMessage,
    Loading,
    Message,
    Prefill,
    Progress,
    Reasoning,
)
from magistral_mlx.errors import EngineError
from magistral_mlx.storage.messages import Reader, builtins_of, to_json

LONGEST_LINE = 64 * 1024 * 1024
"""Bytes. The longest regular line is a Done with a full context of text, some megabytes."""

_READER: Reader[tuple[int, Message]] = Reader(tuple[int, AnyMessage])


def encode(turn: int, message: Message) -> bytes:
    """Return one line, its line break included.

    Raises:
        EngineError: a number of the message is not finite.
    """
    return to_json((turn, message), ascii_only=True).encode("ascii") + b"\n"


def decode(line: bytes) -> tuple[int, Message]:
    """Return the turn and the message of one line.

    Raises:
        EngineError: the line is no such message, or has fields that the message does not have.
    """
    decoded = _READER.read(line)
    for key in _unknown(builtins_of(line), msgspec.to_builtins(decoded)):
        raise EngineError(f"A message has an unknown field {key[:80]!r}", "Start the engine again.")
    return decoded


def _unknown(sent: object, understood: object) -> Iterator[str]:
    """Yield the keys of `sent` that `understood` lacks: msgspec passes over those of dataclasses."""
    if isinstance(sent, dict) and isinstance(understood, dict):
        sent, understood = cast("dict[str, object]", sent), cast("dict[str, object]", understood)
        yield from sorted(sent.keys() - understood.keys())
        for key in sent.keys() & understood.keys():
            yield from _unknown(sent[key], understood[key])
    elif isinstance(sent, list):
        for pair in zip(cast("list[object]", sent), cast("Iterable[object]", understood), strict=True):
            yield from _unknown(*pair)


class LineSplitter:
    """Cut a stream of bytes, in pieces of any size, into lines of at most `longest` bytes."""

    def __init__(self, *, longest: int = LONGEST_LINE) -> None:
        self._longest = longest
        self._pieces: list[bytes] = []
        self._length = 0

    def push(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes, without their line breaks and without empty ones.

        Raises:
            EngineError: a line is longer than allowed.
        """
        *complete, rest = data.split(b"\n")
        lines: list[bytes] = []
        for end in complete:
            self._grow(end)
            line = b"".join(self._pieces)
            self._pieces, self._length = [], 0
            if line:
                lines.append(line)
        self._grow(rest)
        return lines

    def _grow(self, piece: bytes) -> None:
        self._length += len(piece)
        if self._length > self._longest:
            raise EngineError(f"A line is longer than {self._longest} bytes", "Start the engine again.")
        if piece:
            self._pieces.append(piece)


@dataclass
class _Waiting:
    """A waiting message. `pieces` are joined only when it is taken, which keeps merging linear."""

    turn: int
    message: Message
    pieces: list[str]
    tokens: int


class Mailbox:
    """A queue from any thread to one reader.

    Args:
        wake: called after a message came into the empty mailbox; must be quick and thread-safe.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []

    def put(self, turn: int, message: Message) -> None:
        """Add a message; merge it with the previous one where that loses nothing."""
        with self._lock:
            last = self._waiting[-1] if self._waiting else None
            if last is None or last.turn != turn or type(last.message) is not type(message):
                last = None
            if last is not None and isinstance(message, Reasoning | Answer):
                last.pieces.append(message.text)
                last.tokens += message.tokens
            elif last is not None and isinstance(message, Progress | Prefill | Loading):
                last.message = message
            else:
                self._waiting.append(_waiting(turn, message))
            was_empty = last is None and len(self._waiting) == 1
        if was_empty:
            self._wake()

    def take(self) -> list[tuple[int, Message]]:
        """Empty the mailbox; return its messages in order, with their turns."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        return [(each.turn, _merged(each)) for each in waiting]


def _waiting(turn: int, message: Message) -> _Waiting:
    if isinstance(message, Reasoning | Answer):
        return _Waiting(turn, message, [message.text], message.tokens)
    return _Waiting(turn, message, [], 0)


def _merged(waiting: _Waiting) -> Message:
    if isinstance(waiting.message, Reasoning | Answer):
        return type(waiting.message)("".join(waiting.pieces), waiting.tokens)
    return waiting.message
