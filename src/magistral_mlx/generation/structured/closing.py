"""The cheapest way to end a JSON answer from any point.

The search goes over the grammar's own states: first the ways with the fewest guesses, of these the one with
the fewest bytes. What the grammar forces is followed at once. At a choice each way is tried: the bytes that
may come between values; inside a string the quotation mark and what the schema's words, patterns and lengths
propose (`hints`); inside a number its end, and the schema's multiples and bounds. A character that nothing
speaks for is a guess, and so is whatever goes on where a string or number may end. A union ends by its
shortest member. Between values, states that allow the same at the same place are taken for one another, but a
few of each are kept, so that an endless way hides no other.
"""

import heapq
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from magistral_mlx.generation.structured.grammar import AnswerGrammar
from magistral_mlx.generation.structured.hints import Hints
from magistral_mlx.generation.structured.position import JsonPosition
from magistral_mlx.prompt.tokenizer import Tokenizer

_BETWEEN = b'}]",:1234567890ntf[{- '
"""Order of preference between values: close, then the shortest values, and what opens something last."""
_MOST_STATES = 6_000
"""States looked at for one closing."""
_ALIKE = 4
"""States that allow the same, of which as many are followed."""
_FEW = 12
"""So few characters that may come next in a string are each tried; of more the most usual one."""
_OF_NUMBERS = b"-+.0123456789eE"
_QUOTE = ord('"')


class _State(NamedTuple):
    """A place in the search; the first three decide the order."""

    guesses: int
    cost: int
    number: int
    way: bytes
    grammar: AnswerGrammar
    position: JsonPosition


class Closer:
    """Finds closings for one tokenizer and schema."""

    def __init__(self, tokenizer: Tokenizer, schema: str) -> None:
        self._id_of = {
            tokenizer.token_bytes(token_id)[0]: token_id
            for token_id in reversed(range(tokenizer.vocab_size))
            if len(tokenizer.token_bytes(token_id)) == 1
        }
        self._order = np.array(list(self._id_of))
        self._ids = np.array(list(self._id_of.values()))
        self._hints = Hints(schema)

    def closing(
        self, grammar: AnswerGrammar, position: JsonPosition, *, most_tokens: int
    ) -> list[int] | None:
        """Find tokens after which the answer is complete (the end of the turn not counted).

        Args:
            grammar: where the answer is; left as it is.
            position: where that is in the JSON text; left as it is.
            most_tokens: give up beyond.

        Returns:
            None if no way of at most `most_tokens` tokens was found.
        """
        way = self._search(grammar.fork(), position.copy(), most_bytes=2 * most_tokens + 64)
        if way is None:
            return None
        ids = grammar.tokens_of(way)
        if not grammar.takes(ids):
            ids = [self._id_of[byte] for byte in way]
        return ids if len(ids) <= most_tokens else None

    def _search(self, grammar: AnswerGrammar, position: JsonPosition, *, most_bytes: int) -> bytes | None:
        count = itertools.count()
        todo = [_State(0, 0, next(count), b"", grammar, position)]
        seen: Counter[object] = Counter()
        for _ in range(_MOST_STATES):
            if not todo:
                return None
            state = heapq.heappop(todo)
            if state.grammar.accepts:
                return state.way
            if len(state.way) > most_bytes:
                return None
            allowed = self._allowed(state.grammar)
            key = self._key(state, allowed)
            seen[key] += 1
            if seen[key] > _ALIKE:
                continue
            for step, guessed in self._steps(state, allowed):
                after = self._followed(state, step, guessed)
                if after is not None:
                    heapq.heappush(todo, after._replace(number=next(count)))
        return None

    def _key(self, state: _State, allowed: list[int]) -> object:
        """What tells states apart; see the module's words on states that allow the same."""
        position = state.position
        if position.inside:
            return state.way
        number = position.number if self._hints.know_numbers else bool(position.number)
        forced = state.grammar.forced_bytes()
        return position.brackets, position.commas, number, bytes(sorted(allowed)), forced

    def _steps(self, state: _State, allowed: list[int]) -> Iterator[tuple[bytes, bool]]:
        """The ways on from a state, each of one byte or more, and whether it is a guess."""
        if forced := state.grammar.forced_bytes():
            yield forced, False
            return
        position = state.position
        if position.inside:
            yield from self._in_string(position, allowed)
            return
        in_number = [byte for byte in allowed if byte in _OF_NUMBERS]
        may_end = bool(position.number) and len(in_number) < len(allowed)
        if in_number:
            yield from ((digits.encode(), may_end) for digits in self._hints.digits(position.number))
        known = may_end or (bool(in_number) and self._hints.know_numbers)
        for byte in sorted(allowed, key=_preference):
            yield bytes([byte]), known and byte in _OF_NUMBERS
            known = known or byte in _OF_NUMBERS  # one digit is as good as the others

    def _in_string(self, position: JsonPosition, allowed: list[int]) -> Iterator[tuple[bytes, bool]]:
        may_end = _QUOTE in allowed and not position.escaped
        if may_end:
            yield b'"', False
        content = position.content
        if content is not None:
            for ending in self._hints.endings(content):
                if ending:
                    yield json.dumps(ending, ensure_ascii=False)[1:-1].encode("utf-8", "replace"), may_end
        usual = _usual(allowed)
        for byte in usual if len(usual) <= _FEW else usual[:1]:
            yield bytes([byte]), may_end or len(usual) > 1

    def _followed(self, state: _State, step: bytes, guessed: bool) -> _State | None:
        """The state after a step; None where the grammar does not take it."""
        ids = [self._id_of.get(byte, -1) for byte in step]
        if -1 in ids:
            return None
        grammar = state.grammar.fork()
        if not grammar.advance(ids):
            return None
        position = state.position.copy()
        position.push(step)
        cost = state.cost + len(step)
        return _State(state.guesses + guessed, cost, 0, state.way + step, grammar, position)

    def _allowed(self, grammar: AnswerGrammar) -> list[int]:
        return [int(byte) for byte in self._order[grammar.allowed()[self._ids]]]


def _usual(allowed: list[int]) -> list[int]:
    """Plain characters, without the escapes; where there are none, one byte of a longer character."""
    plain = [byte for byte in allowed if 0x20 <= byte < 0x7F and byte not in b'\\"']
    return (
        sorted(plain, key=lambda byte: (not chr(byte).isalnum(), byte))
        or [byte for byte in allowed if byte != _QUOTE][:1]
    )


def _preference(byte: int) -> int:
    place = _BETWEEN.find(bytes([byte]))
    return place if place >= 0 else len(_BETWEEN) + byte
