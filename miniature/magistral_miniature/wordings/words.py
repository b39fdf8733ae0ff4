"""Small words: numbers, ordinals, articles, plurals and lists."""

from collections.abc import Sequence

__all__ = ["NUMBERS", "ORDINALS", "article", "count_of", "listed", "plural"]

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
"""Whole numbers from 0 to 10 as words."""

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
"""Ordinals from 1st to 9th, the first at index 0."""


def article(name: str) -> str:
    """Return "a" or "an" for the name that follows."""
    return "an" if name[0] in "aeiou" else "a"


def plural(name: str) -> str:
    """Return the plural of a name whose last word is a shape, "shape", "row", "column" or "bar"."""
    return name + ("es" if name.endswith("s") else "s")


def count_of(count: int, name: str) -> str:
    """Return "1 row" or "3 rows"."""
    return f"{count} {name if count == 1 else plural(name)}"


def listed(parts: Sequence[str]) -> str:
    """Join parts as "a", "a and b" or "a, b and c"."""
    if len(parts) == 1:
        return parts[0]
    return ", ".join(parts[:-1]) + " and " + parts[-1]
