"""Highlights code one line at a time, so that it can be done while the code streams.

A highlighter that reads a whole text must begin anew with every line that arrives. This one carries over what
is open at a line's end (a comment, a string over several lines) and knows no more of a language than what its
words and marks are: enough to read by, the same for any length, and linear on any input.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from magistral_mlx_tui.text.layout.lines import Role, Span
from magistral_mlx_tui.text.markdown.languages import LANGUAGES, Language

_LONGEST = 1000
"""Characters of a line that are looked at."""


@dataclass(frozen=True, slots=True)
class Open:
    """What a line leaves open: the mark that closes it, and its role."""

    closing: str
    role: Role


def language_of(info: str) -> Language | None:
    """The language that a fence's first word names; None if it is not known."""
    name = info.strip().split(" ")[0].strip("{}.").lower()
    return LANGUAGES.get(name)


def highlight(
    source: str, language: Language | None, opened: Open | None
) -> tuple[tuple[Span, ...], Open | None]:
    """The roles of the parts of one line, and what it leaves open for the next."""
    if language is None:
        return (), None
    spans: list[Span] = []
    position = 0
    if opened is not None:
        position, opened = _close(source, 0, 0, opened, spans)
    pattern = _pattern(language)
    while opened is None and position < min(len(source), _LONGEST):
        match = pattern.search(source, position, _LONGEST)
        if match is None:
            break
        start, position = match.span()
        kind = match.lastgroup or ""
        if kind in ("block", "multi"):
            pairs = language.block_comments if kind == "block" else language.long_strings
            role: Role = "comment" if kind == "block" else "string"
            closing = next(end for begin, end in pairs if begin == match.group())
            position, opened = _close(source, start, position, Open(closing, role), spans)
        elif (found := _role(kind, match.group(), language)) is not None:
            spans.append(Span(start, position, found))
    return tuple(spans), opened


def _close(source: str, start: int, inside: int, opened: Open, spans: list[Span]) -> tuple[int, Open | None]:
    """Where something that is open from `start` on ends in this line; it stays open if it does not."""
    end = source.find(opened.closing, inside)
    stop = len(source) if end < 0 else end + len(opened.closing)
    if stop > start:
        spans.append(Span(start, stop, opened.role))
    return stop, opened if end < 0 else None


def _role(kind: str, text: str, language: Language) -> Role | None:
    if kind == "word":
        known = text.lower() if language.ignores_case else text
        return "keyword" if known in language.keywords else None
    if kind == "call":
        known = text.lower() if language.ignores_case else text
        return "keyword" if known in language.keywords else "name"
    fixed: dict[str, Role] = {
        "comment": "comment",
        "quoted": "string",
        "number": "number",
        "decorator": "name",
        "variable": "name",
    }
    return fixed[kind]


@lru_cache(maxsize=64)
def _pattern(language: Language) -> re.Pattern[str]:
    """One alternative per kind, the first that fits wins; quoted strings end at the line's end at last."""
    kinds: list[str] = []
    if language.block_comments:
        kinds.append(
            "(?P<block>" + "|".join(re.escape(begin) for begin, _end in language.block_comments) + ")"
        )
    if language.line_comments:
        begins = "|".join(re.escape(mark) for mark in language.line_comments)
        guard = r"(?<![\w$])" if "#" in language.line_comments else ""
        kinds.append(f"(?P<comment>{guard}(?:{begins}).*)")
    if language.long_strings:
        kinds.append("(?P<multi>" + "|".join(re.escape(begin) for begin, _end in language.long_strings) + ")")
    quoted = "|".join(rf"{quote}(?:[^{quote}\\]|\\.)*(?:{quote}|\\?$)" for quote in language.quotes)
    kinds += [f"(?P<quoted>{quoted})"] if quoted else []
    kinds.append(r"(?P<number>(?<![\w.])(?:0[xXbBoO][0-9a-fA-F_]+|\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)\w*)")
    if language.variables:
        kinds.append(r"(?P<variable>\$(?:\w+|\{[^}]*\}))")
    if language.decorators:
        kinds.append(r"(?P<decorator>@\w[\w.]*)")
    kinds.append(r"(?P<call>[A-Za-z_]\w*(?=\())|(?P<word>[A-Za-z_]\w*)")
    return re.compile("|".join(kinds))
