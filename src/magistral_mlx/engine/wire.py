"""Messages as lines of JSON: what runs through the pipes between a face and its child process.

One line is one object: the message's own fields, its `type`, and `turn`, the number of the request that it
belongs to (0: none). Every byte is ASCII, so that a line break can only be the end of a line.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, cast

from magistral_mlx.engine.protocol import Answer, Loading, Message, Prefill, Progress, Reasoning, from_json
from magistral_mlx.errors import EngineError

LONGEST_LINE = 64 * 1024 * 1024
"""Bytes. The longest honest line is a Done with a full context of text, some megabytes."""


def encode(turn: int, message: Message) -> bytes:
    """One line, its line break included."""
    return json.dumps({"turn": turn, **message.to_json()}, allow_nan=False).encode("ascii") + b"\n"


def decode(line: bytes) -> tuple[int, Message]:
    """The turn and the message of one line.

    Raises:
        EngineError: the line is no such message; its text is shortened and shown as Python writes it.
    """
    try:
        raw: object = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise EngineError(f"A line is not JSON: {line[:80]!r}", "Start the engine again.") from error
    fields = dict(cast("dict[str, object]", raw)) if isinstance(raw, dict) else {}
    turn = fields.pop("turn", None)
    if not isinstance(turn, int) or isinstance(turn, bool):
        raise EngineError(f"A line has no turn: {line[:80]!r}", "Start the engine again.")
    return turn, from_json(fields)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


class LineSplitter:
    """Cuts a stream of bytes into lines, whatever pieces it comes in; a line takes up to `longest` bytes."""

    def __init__(self, *, longest: int = LONGEST_LINE) -> None:
        self._longest = longest
        self._pieces: list[bytes] = []
        self._length = 0

    def push(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their line breaks; empty lines are left out.

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
    """One message to be; the texts of `pieces` are joined when it is taken, so that merging stays linear."""

    turn: int
    message: Message
    pieces: list[str]
    tokens: int


class Mailbox:
    """A queue from any threads to one reader.

    Args:
        wake: called after a message was put into an empty mailbox; must be quick and thread-safe.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []

    def put(self, turn: int, message: Message) -> None:
        """Add a message; merges it with the one before it where nothing is lost by that."""
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
        """All that waits, in order, with the turns; leaves the mailbox empty."""
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
