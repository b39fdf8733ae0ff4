"""The syntax of regular expressions as states: Thompson's construction.

The syntax is the common part of ECMA 262 and Rust's `regex`, which llguidance takes: literals, classes,
groups, alternation, quantifiers, `.`, anchors, `\\d \\w \\s`, general categories such as `\\p{Lu}`, and
`(?i)` at the beginning.
"""

import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache

Ranges = tuple[tuple[int, int], ...]
"""Sorted, disjoint ranges of code points, both ends included."""

LAST = 0x10FFFF
_DIGITS: Ranges = ((48, 57),)
_WORD: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: Ranges = ((9, 13), (32, 32))
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_MOST_STATES = 20_000


class NotUnderstoodError(Exception):
    """The pattern uses syntax that this module does not know."""


@dataclass
class State:
    """One state: at most one edge that takes a character, and any number that take none."""

    chars: Ranges = ()
    after: int = -1
    free: list[int] = field(default_factory=list[int])
    at_start: list[int] = field(default_factory=list[int])
    """Reached without a character at the start of the string (`^`)."""
    at_end: list[int] = field(default_factory=list[int])
    """Reached without a character at the end of the string (`$`)."""


def states_of(text: str) -> tuple[list[State], int, int]:
    """Return the states of a pattern that is matched anywhere in a string, the first and the accepting one.

    Raises:
        NotUnderstoodError: the pattern uses other syntax.
    """
    return _Builder(text).build()


class _Builder:
    """Recursive descent over the pattern, writing states as it goes."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._states: list[State] = []
        self._any_case = text.startswith("(?i)")
        self._at = 4 if self._any_case else 0

    def build(self) -> tuple[list[State], int, int]:
        start, accept = self._new(), self._new()
        self._states[start].chars, self._states[start].after = ((0, LAST),), start
        self._states[accept].chars, self._states[accept].after = ((0, LAST),), accept
        entry, leave = self._alternatives()
        if self._at < len(self._text):
            raise NotUnderstoodError
        self._states[start].free.append(entry)
        self._states[leave].free.append(accept)
        return self._states, start, accept

    def _new(self) -> int:
        if len(self._states) >= _MOST_STATES:
            raise NotUnderstoodError
        self._states.append(State())
        return len(self._states) - 1

    def _peek(self) -> str:
        return self._text[self._at] if self._at < len(self._text) else ""

    def _take(self) -> str:
        char = self._peek()
        if not char:
            raise NotUnderstoodError
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
        if char in "^$" or (char == "\\" and self._peek() in ("A", "z")):
            first, end = self._new(), self._new()
            starts = char == "^" or (char == "\\" and self._take() == "A")
            (self._states[first].at_start if starts else self._states[first].at_end).append(end)
            return first, end
        if char == "[":
            return self._of_chars(self._class())
        if char == ".":
            return self._of_chars(_negated(((10, 10),)))
        if char == "\\":
            return self._of_chars(self._escape())
        if char in "*+?{}":
            raise NotUnderstoodError
        return self._of_chars(((ord(char), ord(char)),))

    def _group(self) -> tuple[int, int]:
        if self._peek() == "?":
            self._take()
            kind = self._take()
            if kind in "P<":
                if kind == "P" and self._take() != "<":
                    raise NotUnderstoodError
                if self._peek() in "=!":
                    raise NotUnderstoodError
                while self._take() != ">":
                    pass
            elif kind != ":":
                raise NotUnderstoodError
        first, end = self._alternatives()
        if self._take() != ")":
            raise NotUnderstoodError
        return first, end

    def _of_chars(self, chars: Ranges) -> tuple[int, int]:
        first, end = self._new(), self._new()
        self._states[first].chars, self._states[first].after = self._cased(chars), end
        return first, end

    def _cased(self, chars: Ranges) -> Ranges:
        """The same with the other case of its ASCII letters, where the pattern takes any case."""
        if not self._any_case:
            return chars
        found = list(chars)
        for low, high in chars:
            for first, last, shift in ((65, 90, 32), (97, 122, -32)):
                start, stop = max(low, first), min(high, last)
                if start <= stop:
                    found.append((start + shift, stop + shift))
        return _merged(found)

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
            raise NotUnderstoodError
        self._at = close + 1
        if int(least) > _MOST_STATES or (most and int(most) > _MOST_STATES):
            raise NotUnderstoodError
        return int(least), (int(most) if most else -1) if comma else int(least)

    def _escape(self) -> Ranges:
        char = self._take()
        if char.lower() in _CLASSES:
            chars = _CLASSES[char.lower()]
            return chars if char.islower() else _negated(chars)
        if char in "pP":
            chars = self._category()
            return chars if char == "p" else _negated(chars)
        if char in "xu":
            return self._code(2 if char == "x" else 4)
        if char in _ESCAPES:
            return _only(ord(_ESCAPES[char]))
        if char.isalnum():
            raise NotUnderstoodError
        return ((ord(char), ord(char)),)

    def _category(self) -> Ranges:
        name = self._take()
        if name == "{":
            close = self._text.find("}", self._at)
            name, self._at = self._text[self._at : close], close + 1
        chars = _of_category(name)
        if not chars:
            raise NotUnderstoodError
        return chars

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
            raise NotUnderstoodError from error

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
                    raise NotUnderstoodError
                chars.append((low[0][0], high[0][1]))
            else:
                chars += low
        self._take()
        ranges = _merged(chars)
        return _negated(ranges) if negated else ranges

    def _class_item(self) -> Ranges:
        char = self._take()
        if char == "[" or (char in "&~-" and self._peek() == char):
            raise NotUnderstoodError  # nested classes and set operations
        return self._escape() if char == "\\" else ((ord(char), ord(char)),)


@lru_cache(maxsize=64)
def _of_category(name: str) -> Ranges:
    """Code points of a general category such as "Lu" or "L"; none for other names."""
    if len(name) > 2:
        return ()
    return _merged(
        [(code, code) for code in range(LAST + 1) if unicodedata.category(chr(code)).startswith(name)]
    )


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
    if begin <= LAST:
        gaps.append((begin, LAST))
    return tuple(gaps)
