"""Shortest completions of a string that a regular expression must match.

A pattern of a JSON schema becomes a nondeterministic automaton (Thompson's construction). Every state knows
its distance to acceptance, so the cheapest way from any prefix to a match is read off, without a search.

The syntax is the common part of ECMA 262 and Rust's `regex`, which llguidance takes: literals, classes,
groups, alternation, quantifiers, `.`, `^`, `$`, `\\d \\w \\s` and their negations. Anything else, such as
look-around, flags, `\\b` and `\\p`, is not understood here: `Pattern.of` then gives None.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

Ranges = tuple[tuple[int, int], ...]
"""Sorted, disjoint ranges of code points, both ends included."""

_LAST = 0x10FFFF
_DIGITS: Ranges = ((48, 57),)
_WORD: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: Ranges = ((9, 13), (32, 32))
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_MOST_STATES = 20_000
_UNREACHABLE = 1 << 30


class _NotUnderstoodError(Exception):
    """The pattern uses syntax that this module does not know."""


@dataclass
class _State:
    """One state: at most one edge that takes a character, and any number that take none."""

    chars: Ranges = ()
    after: int = -1
    free: list[int] = field(default_factory=list[int])
    at_start: list[int] = field(default_factory=list[int])
    """Reached without a character at the start of the string (`^`)."""
    at_end: list[int] = field(default_factory=list[int])
    """Reached without a character at the end of the string (`$`)."""


class Pattern:
    """One regular expression, matched anywhere in the string as JSON schema does. Made by `of`."""

    def __init__(self, states: list[_State], start: int, accept: int) -> None:
        self._states = states
        self._start = start
        self._accept = accept
        self._distance = self._distances()

    @classmethod
    @lru_cache(maxsize=256)
    def of(cls, text: str) -> "Pattern | None":
        """Compile a pattern; None if it is not understood."""
        try:
            return cls(*_Builder(text).build())
        except (_NotUnderstoodError, RecursionError):
            return None

    def completion(self, content: str, *, least: int = 0) -> str | None:
        """Return the shortest text that makes `content` a match.

        Args:
            content: the string so far.
            least: characters that the whole string needs.

        Returns:
            None if no continuation of `content` matches.
        """
        current = self._closure({(self._start, False)}, first=True)
        for char in content:
            current = self._step(current, ord(char))
        missing = least - len(content)
        layers: list[dict[tuple[int, bool], tuple[tuple[int, bool], str]]] = []
        for _ in range(max(missing, 0)):
            layer: dict[tuple[int, bool], tuple[tuple[int, bool], str]] = {}
            for state in current:
                for char, reached in self._edges(state):
                    layer.setdefault(reached, (state, char))
            layers.append(layer)
            current = set(layer)
        ends = [state for state in current if self._distance.get(state, _UNREACHABLE) < _UNREACHABLE]
        if not ends:
            return None
        state = min(ends, key=self._rank)
        tail = self._tail(state)
        head: list[str] = []
        for layer in reversed(layers):
            state, char = layer[state]
            head.append(char)
        return "".join(reversed(head)) + tail

    def _tail(self, state: tuple[int, bool]) -> str:
        written: list[str] = []
        while self._distance[state]:
            char, state = min(self._edges(state), key=lambda edge: self._rank(edge[1]))
            written.append(char)
        return "".join(written)

    def _rank(self, state: tuple[int, bool]) -> tuple[int, bool, tuple[int, bool]]:
        """Sort the nearest to acceptance first, among equals one whose own character brings it nearer."""
        distance = self._distance.get(state, _UNREACHABLE)
        after = self._distance.get((self._states[state[0]].after, False), _UNREACHABLE)
        return distance, distance > 0 and (state[1] or after >= distance), state

    def _edges(self, state: tuple[int, bool]) -> Iterator[tuple[str, tuple[int, bool]]]:
        """The states one character further, each with a character that leads there."""
        index, ended = state
        node = self._states[index]
        if not ended and node.after >= 0 and node.chars:
            char = _plain(node.chars)
            for reached in self._closure({(node.after, False)}, first=False):
                yield char, reached

    def _step(self, states: set[tuple[int, bool]], char: int) -> set[tuple[int, bool]]:
        reached = {
            (self._states[index].after, False)
            for index, ended in states
            if not ended and any(low <= char <= high for low, high in self._states[index].chars)
        }
        return self._closure(reached, first=False)

    def _closure(self, states: set[tuple[int, bool]], *, first: bool) -> set[tuple[int, bool]]:
        seen, todo = set(states), list(states)
        while todo:
            index, ended = todo.pop()
            node = self._states[index]
            further = [(each, ended) for each in node.free]
            further += [(each, ended) for each in node.at_start if first]
            further += [(each, True) for each in node.at_end]
            for each in further:
                if each not in seen:
                    seen.add(each)
                    todo.append(each)
        return seen

    def _distances(self) -> dict[tuple[int, bool], int]:
        """Characters from each state to acceptance, by breadth-first search backwards."""
        free: dict[tuple[int, bool], list[tuple[int, bool]]] = {}
        taking: dict[tuple[int, bool], list[tuple[int, bool]]] = {}
        for index, node in enumerate(self._states):
            for ended in (False, True):
                for each in node.free:
                    free.setdefault((each, ended), []).append((index, ended))
                for each in node.at_end:
                    free.setdefault((each, True), []).append((index, ended))
            if node.after >= 0 and node.chars:
                taking.setdefault((node.after, False), []).append((index, False))
        distance: dict[tuple[int, bool], int] = {}
        layer, count = [(self._accept, False), (self._accept, True)], 0
        while layer:
            following: list[tuple[int, bool]] = []
            while layer:
                state = layer.pop()
                if state in distance:
                    continue
                distance[state] = count
                layer += free.get(state, [])
                following += taking.get(state, [])
            layer, count = following, count + 1
        return distance


class _Builder:
    """Recursive descent over the pattern, writing states as it goes."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._states: list[_State] = []

    def build(self) -> tuple[list[_State], int, int]:
        start, accept = self._new(), self._new()
        self._states[start].chars, self._states[start].after = ((0, _LAST),), start
        self._states[accept].chars, self._states[accept].after = ((0, _LAST),), accept
        entry, leave = self._alternatives()
        if self._at < len(self._text):
            raise _NotUnderstoodError
        self._states[start].free.append(entry)
        self._states[leave].free.append(accept)
        return self._states, start, accept

    def _new(self) -> int:
        if len(self._states) >= _MOST_STATES:
            raise _NotUnderstoodError
        self._states.append(_State())
        return len(self._states) - 1

    def _peek(self) -> str:
        return self._text[self._at] if self._at < len(self._text) else ""

    def _take(self) -> str:
        char = self._peek()
        if not char:
            raise _NotUnderstoodError
        self._at += 1
        return char

    def _alternatives(self) -> tuple[int, int]:
        entry, leave = self._new(), self._new()
        while True:
            first, last = self._sequence()
            self._states[entry].free.append(first)
            self._states[last].free.append(leave)
            if self._peek() != "|":
                return entry, leave
            self._take()

    def _sequence(self) -> tuple[int, int]:
        entry = last = self._new()
        while self._peek() not in ("", "|", ")"):
            begin = self._at
            first, end = self._atom()
            first, end = self._quantified(begin, first, end)
            self._states[last].free.append(first)
            last = end
        return entry, last

    def _atom(self) -> tuple[int, int]:
        char = self._take()
        if char == "(":
            return self._group()
        if char in "^$":
            first, end = self._new(), self._new()
            (self._states[first].at_start if char == "^" else self._states[first].at_end).append(end)
            return first, end
        if char == "[":
            return self._of_chars(self._class())
        if char == ".":
            return self._of_chars(_negated(((10, 10),)))
        if char == "\\":
            return self._of_chars(self._escape())
        if char in "*+?{}":
            raise _NotUnderstoodError
        return self._of_chars(((ord(char), ord(char)),))

    def _group(self) -> tuple[int, int]:
        if self._peek() == "?":
            self._take()
            kind = self._take()
            if kind in "P<":
                if kind == "P" and self._take() != "<":
                    raise _NotUnderstoodError
                if self._peek() in "=!":
                    raise _NotUnderstoodError
                while self._take() != ">":
                    pass
            elif kind != ":":
                raise _NotUnderstoodError
        first, end = self._alternatives()
        if self._take() != ")":
            raise _NotUnderstoodError
        return first, end

    def _of_chars(self, chars: Ranges) -> tuple[int, int]:
        first, end = self._new(), self._new()
        self._states[first].chars, self._states[first].after = chars, end
        return first, end

    def _quantified(self, begin: int, first: int, end: int) -> tuple[int, int]:
        """Apply the quantifier that follows the atom at `begin`, if there is one."""
        least, most = 1, 1
        after_atom = self._at
        match self._peek():
            case "*":
                least, most = 0, -1
            case "+":
                least, most = 1, -1
            case "?":
                least, most = 0, 1
            case "{":
                least, most = self._counts()
            case _:
                return first, end
        if self._text[after_atom] != "{":
            self._take()
        if self._peek() in ("?", "+"):
            self._take()  # lazy or possessive: the same strings match
        after = self._at
        entry = last = self._new()
        copies: list[tuple[int, int]] = []
        for _ in range(max(least, most, 1)):
            self._at = begin
            copies.append(self._atom() if copies else (first, end))
        for number, (head, tail) in enumerate(copies):
            self._states[last].free.append(head)
            if number >= least:
                self._skip(last, copies[-1][1])
            last = tail
        self._at = after
        if most == 0:
            return entry, entry
        if most < 0:
            if least == 0:
                self._skip(entry, last)
            self._states[last].free.append(copies[-1][0])
        return entry, last

    def _skip(self, start: int, end: int) -> None:
        self._states[start].free.append(end)

    def _counts(self) -> tuple[int, int]:
        close = self._text.find("}", self._at)
        least, comma, most = self._text[self._at + 1 : close].partition(",")
        if close < 0 or not least.isdigit() or (most and not most.isdigit()):
            raise _NotUnderstoodError
        self._at = close + 1
        if int(least) > _MOST_STATES or (most and int(most) > _MOST_STATES):
            raise _NotUnderstoodError
        return int(least), (int(most) if most else -1) if comma else int(least)

    def _escape(self) -> Ranges:
        char = self._take()
        if char.lower() in _CLASSES:
            chars = _CLASSES[char.lower()]
            return chars if char.islower() else _negated(chars)
        if char in "xu":
            return self._code(2 if char == "x" else 4)
        if char in _ESCAPES:
            return _only(ord(_ESCAPES[char]))
        if char.isalnum():
            raise _NotUnderstoodError
        return ((ord(char), ord(char)),)

    def _code(self, digits: int) -> Ranges:
        if self._peek() == "{":
            close = self._text.find("}", self._at)
            written, self._at = self._text[self._at + 1 : close], close + 1
        else:
            written = self._text[self._at : self._at + digits]
            self._at += digits
        try:
            return _only(int(written, 16))
        except ValueError as error:
            raise _NotUnderstoodError from error

    def _class(self) -> Ranges:
        negated = self._peek() == "^"
        if negated:
            self._take()
        chars: list[tuple[int, int]] = []
        first = True
        while first or self._peek() != "]":
            first = False
            low = self._class_item()
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._take()
                high = self._class_item()
                if len(low) != 1 or len(high) != 1:
                    raise _NotUnderstoodError
                chars.append((low[0][0], high[0][1]))
            else:
                chars += low
        self._take()
        ranges = _merged(chars)
        return _negated(ranges) if negated else ranges

    def _class_item(self) -> Ranges:
        char = self._take()
        if char == "[" or (char in "&~-" and self._peek() == char):
            raise _NotUnderstoodError  # nested classes and set operations
        return self._escape() if char == "\\" else ((ord(char), ord(char)),)


def _only(code: int) -> Ranges:
    return ((code, code),)


def _merged(chars: list[tuple[int, int]]) -> Ranges:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(chars):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _negated(chars: Ranges) -> Ranges:
    gaps: list[tuple[int, int]] = []
    begin = 0
    for low, high in chars:
        if low > begin:
            gaps.append((begin, low - 1))
        begin = high + 1
    if begin <= _LAST:
        gaps.append((begin, _LAST))
    return tuple(gaps)


@lru_cache(maxsize=1024)
def _plain(chars: Ranges) -> str:
    """Choose a character that JSON writes as one byte, if there is one."""
    for wanted in ((97, 122), (48, 57), (65, 90), (0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E)):
        for low, high in chars:
            start = max(low, wanted[0])
            if start <= min(high, wanted[1]):
                return chr(start)
    usable = next(((low, high) for low, high in chars if not 0xD800 <= low <= 0xDFFF), chars[0])
    return chr(usable[0])
