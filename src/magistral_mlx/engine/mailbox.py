"""Messages that wait for a reader who may be slow; the writer never waits.

What can be said in one message is: adjacent pieces of the same text become one piece, of adjacent figures of
the same kind only the latest is kept. So a reader that stands still costs the memory of the text itself.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from magistral_mlx.engine.protocol import Answer, Loading, Message, Prefill, Progress, Reasoning


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
