"""End a JSON answer from any point: find a short way to a complete value.

The grammar says which bytes may come next. Outside of strings, closing brackets are tried before anything
that opens something; inside, the quotation mark. Where a pattern, a format or a length keeps a string open,
a breadth-first search finds the nearest place where it may close. Of several ways after which the grammar
allows the same, before the last byte too, one is followed: that on which it changed most often.
"""

from typing import NamedTuple

import numpy as np

from magistral_mlx.generation.structured.grammar import AnswerGrammar, Mask
from magistral_mlx.prompt.tokenizer import Tokenizer

_OUTSIDE = b'}]",1234567890ntf[{-'
"""Order of preference outside of strings: close, then the shortest values, and what opens something last."""
_MOST_STATES = 16
_DEEPEST = 32
_MOST_TRIALS = 20_000
"""Most bytes tried for one closing; about two seconds."""
_SAME_STEPS = 64
"""Repetitions of a step that led nowhere new before a new search, for long minimum lengths."""
_QUOTE = ord('"')


class _State(NamedTuple):
    """A state of the search."""

    way: bytes
    grammar: AnswerGrammar
    choices: list[int]
    """The bytes that may come next."""
    seen: bytes
    """The mask of bytes that may come next."""
    changes: int


class Closer:
    """Finds closings for one tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._id_of = {
            tokenizer.token_bytes(token_id)[0]: token_id
            for token_id in reversed(range(tokenizer.vocab_size))
            if len(tokenizer.token_bytes(token_id)) == 1
        }
        self._order = np.array(list(self._id_of))
        self._ids = np.array(list(self._id_of.values()))
        self._last_mask: Mask | None = None
        self._last_step = b""
        self._repeats = self._trials = 0

    def closing(
        self, grammar: AnswerGrammar, string: "StringTracker", *, most_tokens: int
    ) -> list[int] | None:
        """Tokens after which the answer is complete (the end of the turn not counted).

        Args:
            grammar: where the answer is; left as it is.
            string: whether that is inside a JSON string; left as it is.
            most_tokens: give up beyond.

        Returns:
            None if no way of at most `most_tokens` tokens was found.
        """
        self._last_mask, self._trials = None, 0
        trial = grammar.fork()
        written = bytearray()
        lexer = string.copy()
        while not trial.accepts:
            step = trial.forced_bytes() or self._step(trial, lexer)
            if not step or len(written) > 2 * most_tokens + 64:
                return None
            for byte in step:
                trial.push(self._id_of[byte])
            written += step
            lexer.push(step)
        ids = grammar.tokens_of(bytes(written))
        if not grammar.takes(ids):
            ids = [self._id_of[byte] for byte in written]
        return ids if len(ids) <= most_tokens else None

    def _step(self, grammar: AnswerGrammar, lexer: "StringTracker") -> bytes:
        """The next bytes of the closing; empty if there is none."""
        mask = grammar.allowed()
        allowed = self._bytes(mask)
        if not allowed:
            return b""
        if not lexer.inside:
            return bytes([min(allowed, key=_preference)])
        if _QUOTE in allowed or lexer.escaped:
            return bytes([_QUOTE if _QUOTE in allowed else min(allowed)])
        self._repeats += 1
        if (
            self._repeats >= _SAME_STEPS
            or self._last_mask is None
            or not np.array_equal(mask, self._last_mask)
        ):
            self._last_step = self._way_to_the_quote(grammar, allowed)
            self._last_mask = mask if len(self._last_step) == 1 else None
            self._repeats = 0
        return self._last_step

    def _way_to_the_quote(self, grammar: AnswerGrammar, allowed: list[int]) -> bytes:
        """The fewest bytes after which the string may close, if the search finds them; else a first step."""
        states = [_State(b"", grammar, allowed, b"", 0)]
        for _ in range(_DEEPEST):
            following: dict[tuple[bytes, bytes], _State] = {}
            for state in states:
                for byte in _usual(state.choices):
                    self._trials += 1
                    reached, way = self._followed(state.grammar, state.way, byte)
                    mask = reached.allowed()
                    choices = self._bytes(mask)
                    if way[-1] == _QUOTE or _QUOTE in choices:
                        return way
                    seen = mask.tobytes()
                    after = _State(way, reached, choices, seen, state.changes + (seen != state.seen))
                    known = following.get((state.seen, seen))
                    if choices and (known is None or known.changes < after.changes):
                        following[state.seen, seen] = after
            states = list(following.values())[:_MOST_STATES]
            if len(states) == 1:
                return states[0].way  # no other way: go there, and look around again
            if self._trials > _MOST_TRIALS:
                return b""
        return states[0].way if states else b""

    def _followed(self, state: AnswerGrammar, way: bytes, byte: int) -> tuple[AnswerGrammar, bytes]:
        """The state after a byte and what it forces, up to the end of the string; and the way there."""
        trial = state.fork()
        trial.push(self._id_of[byte])
        forced = trial.forced_bytes()
        before, quote, _ = forced.partition(b'"')
        forced = forced if b"\\" in before else before + quote
        for further in forced:
            trial.push(self._id_of[further])
        return trial, way + bytes([byte]) + forced

    def _bytes(self, mask: Mask) -> list[int]:
        return [int(byte) for byte in self._order[mask[self._ids]]]


def _usual(choices: list[int]) -> list[int]:
    """Plain characters, without the escapes; where there are none, one byte of a longer character."""
    return [byte for byte in choices if 0x20 <= byte < 0x7F and byte != ord("\\")] or choices[:1]


def _preference(byte: int) -> int:
    place = _OUTSIDE.find(bytes([byte]))
    return place if place >= 0 else len(_OUTSIDE) + byte


class StringTracker:
    """Whether JSON text is inside a string, byte by byte."""

    def __init__(self, *, inside: bool = False) -> None:
        self.inside = inside
        self.escaped = False
        """The last byte was a backslash inside a string."""

    def copy(self) -> "StringTracker":
        """A copy."""
        copy = StringTracker(inside=self.inside)
        copy.escaped = self.escaped
        return copy

    def push(self, text: bytes) -> None:
        """Take the next bytes of the text."""
        for byte in text:
            if self.escaped:
                self.escaped = False
            elif byte == _QUOTE:
                self.inside = not self.inside
            elif byte == ord("\\"):
                self.escaped = self.inside
