"""Grammars: rows of alternatives that together make many wordings.

A wording takes one alternative from each part of a grammar. Only training draws from grammars.
"""

import random
import re
from collections.abc import Iterator, Mapping

__all__ = ["Grammars", "composed", "parts_of", "patterns"]

Grammars = tuple[tuple[tuple[str, ...], ...], ...]
_PIECES = re.compile(r"\[([^]]*)\]|<(\w+)>|([^[<]+)")


def composed(rng: random.Random, grammars: Grammars) -> str:
    """Return one wording; every grammar is equally likely, whatever its length."""
    return "".join(parts_of(rng, grammars))


def parts_of(rng: random.Random, grammars: Grammars) -> list[str]:
    """Return one wording in its parts."""
    return [rng.choice(part) for part in rng.choice(grammars)]


def patterns(text: str, **lists: str) -> Grammars:
    """Read grammars from lines: "[Please |]add {a} and {b}<end>" offers two beginnings and the list `end`.

    Args:
        text: one grammar a line; "[x|y|]" are alternatives, "<name>" stands for those of a list, also inside
            of brackets.
        lists: alternatives between bars, by name.
    """
    values = {name: tuple(listed.split("|")) for name, listed in lists.items()}

    def part(choice: str, name: str, plain: str) -> tuple[str, ...]:
        written = values[name] if name else (choice or plain).split("|")
        return tuple(one for text in written for one in _spelled_out(text, values))

    lines = filter(None, (line.strip() for line in text.splitlines()))
    return tuple(tuple(part(*piece) for piece in _PIECES.findall(line)) for line in lines)


def _spelled_out(written: str, values: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Yield what an alternative stands for, with every list in it spelled out."""
    before, mark, rest = written.partition("<")
    if not mark:
        yield written
        return
    name, _, after = rest.partition(">")
    for value in values[name]:
        for end in _spelled_out(after, values):
            yield f"{before}{value}{end}"
