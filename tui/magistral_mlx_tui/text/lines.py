"""The lines a document is made of, before they are wrapped to a width."""

from dataclasses import dataclass
from typing import Literal, Protocol

Role = Literal[
    "text",
    "heading",
    "quote",
    "code",
    "fence",
    "rule",
    "table",
    "table_head",
    "bold",
    "italic",
    "strike",
    "link",
    "inline_code",
    "math",
    "result",
    "marker",
    "question",
    "attachment",
    "warning",
    "hint",
]
"""What a piece of text is; a pane gives each role a style."""


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `end` (exclusive) of a line's text have a role of their own."""

    start: int
    end: int
    role: Role


@dataclass(frozen=True, slots=True)
class Line:
    """One logical line: wrapped rows of it share its role; no newline and no tab in it.

    `lead` stands before the first row and `hang` before the following ones (a bullet, a quote bar).
    """

    text: str
    role: Role = "text"
    spans: tuple[Span, ...] = ()
    lead: str = ""
    hang: str = ""


class Document(Protocol):
    """Lines that grow at their end."""

    lines: list[Line]

    def append(self, text: str) -> int:
        """Add text; returns the index of the first line that changed (those before it are untouched)."""
        ...

    def finish(self) -> int:
        """No more text comes: settle what was open; returns as `append` does."""
        ...

    def set_width(self, width: int) -> None:
        """Lay out anew for `width` cells what depends on the width (tables)."""
        ...


class FixedDocument:
    """Lines that never change: a question, a note."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines

    def append(self, text: str) -> int:
        """Add `text` as plain lines."""
        first = len(self.lines)
        self.lines.extend(Line(part) for part in text.split("\n"))
        return first

    def finish(self) -> int:
        """Nothing is ever open."""
        return len(self.lines)

    def set_width(self, width: int) -> None:
        """Nothing here depends on the width."""
