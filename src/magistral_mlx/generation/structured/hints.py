"""Ways to complete a string or number, read from a schema.

llguidance says which bytes may come next, but not which way leads to an end: its states are opaque. The
schema knows: a pattern's shortest match, a multiple's next digits, a length still to fill. Every hint is only
a proposal; the grammar has the last word on it.
"""

import json
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, TypeGuard, cast

from magistral_mlx.generation.structured.patterns import Pattern

_FORMATS = {
    "date": "^2000-01-01$",
    "time": "^00:00:00Z$",
    "date-time": "^2000-01-01T00:00:00Z$",
    "duration": "^P1D$",
    "email": "^[a-z]+@[a-z]+$",
    "hostname": "^[a-z0-9]+$",
    "ipv4": r"^[0-9]\.[0-9]\.[0-9]\.[0-9]$",
    "ipv6": "^::$",
    "uuid": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    "uri": "^[a-z]+:[a-z]*$",
}
"""Patterns that lead to a short value of a format; none of them describes the whole format."""
_LONGEST_FILL = 4096


class Hints:
    """What a schema says about the strings and numbers in it.

    Args:
        schema: JSON schema as text.
    """

    def __init__(self, schema: str) -> None:
        self._words: dict[str, None] = {}
        self._patterns: list[Pattern] = []
        self._lengths: set[int] = {0}
        self._multiples: set[Decimal] = set()
        self._bounds: set[Decimal] = set()
        self._collect(json.loads(schema))
        self._longest = max((len(f"{abs(bound):.0f}") for bound in self._bounds), default=0)

    @property
    def know_numbers(self) -> bool:
        """Whether the schema says more of a number than that it is one."""
        return bool(self._multiples or self._bounds)

    def endings(self, content: str) -> Iterator[str]:
        """Propose texts after which the string `content` may close: the rest of each word that the schema
        names, and for each pattern and length the shortest."""
        for word in self._words:
            if word.startswith(content):
                yield word[len(content) :]
        seen: set[str] = set()
        for least in sorted(self._lengths):
            if least and least <= len(content):
                continue
            for pattern in self._patterns:
                ending = pattern.completion(content, least=least)
                if ending is not None and ending not in seen:
                    seen.add(ending)
                    yield ending
            if least:
                yield "a" * (least - len(content))

    def digits(self, number: str) -> Iterator[str]:
        """Propose digits after which the number that begins with `number` may end, the fewest first."""
        found: set[str] = set()
        for multiple in self._multiples or ({Decimal(1)} if self._bounds else set()):
            for value in self._values(number, multiple):
                text = f"{value:f}"
                if "." in text:
                    text = text.rstrip("0").rstrip(".")
                if text.startswith(number) and len(text) > len(number):
                    found.add(text[len(number) :])
        yield from sorted(found, key=lambda text: (len(text), text))

    def _values(self, number: str, multiple: Decimal) -> Iterator[Decimal]:
        """Multiples that are written with `number` at the beginning, or lie next to a bound."""
        for bound in (*self._bounds, Decimal(0)):
            nearest = bound // multiple * multiple
            yield from (nearest + step * multiple for step in (-1, 0, 1))
        try:
            start = Decimal(number if number not in ("", "-") else f"{number}1")
        except InvalidOperation:
            return
        fraction = len(number.partition(".")[2])
        for further in range(len(str(multiple)) + self._longest + 3):
            # With `further` digits more, the value lies between `low` and `low + width`.
            if "." in number:
                low, width = start, Decimal(10) ** -fraction - Decimal(10) ** -(fraction + further)
            else:
                low, width = start * 10**further, Decimal(10) ** further - 1
            sign = -1 if number.startswith("-") else 1
            first = -(-abs(low) // multiple) * multiple
            if first <= abs(low) + width:
                yield sign * first
                yield sign * (first + multiple)

    def _collect(self, part: object) -> None:
        if isinstance(part, list):
            for each in cast("list[object]", part):
                self._collect(each)
        elif isinstance(part, dict):
            own = cast("dict[str, Any]", part)
            self._note(own)
            for each in own.values():
                self._collect(each)

    def _note(self, own: dict[str, Any]) -> None:
        for text in (own.get("pattern"), _FORMATS.get(str(own.get("format")))):
            if isinstance(text, str) and (pattern := Pattern.of(text)):
                self._patterns.append(pattern)
        for text in _names(own.get("patternProperties")):
            if pattern := Pattern.of(text):
                self._patterns.append(pattern)
        listed = own.get("enum")
        words = cast("list[object]", listed) if isinstance(listed, list) else []
        for word in (*words, own.get("const"), *_names(own.get("properties"))):
            if isinstance(word, str):
                self._words[word] = None
        least = own.get("minLength")
        if _is_number(least) and 0 < least <= _LONGEST_FILL:
            self._lengths.add(int(least))
        multiple = own.get("multipleOf")
        if _is_number(multiple) and multiple > 0:
            self._multiples.add(Decimal(str(multiple)))
        for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            if _is_number(own.get(key)):
                self._bounds.add(Decimal(str(own[key])))


def _names(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        yield from (name for name in cast("dict[object, object]", part) if isinstance(name, str))


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
