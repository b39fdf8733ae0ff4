"""What a document is made of before it is wrapped: lines, and blocks that are laid out as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Role = Literal[
    "text",
    "title",
    "heading",
    "subheading",
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
    "keyword",
    "string",
    "comment",
    "number",
    "name",
    "math",
    "result",
    "marker",
    "question",
    "attachment",
    "warning",
    "hint",
    "hit",
    "current_hit",
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


class Block(Protocol):
    """Several lines whose shape depends on the width: rows of a table, a formula. It never changes."""

    @property
    def rows_expected(self) -> int:
        """How many rows it will probably take; asked before it is laid out."""
        ...

    def lay_out(self, width: int) -> list[Line]:
        """The lines it is made of on `width` cells."""
        ...


Item = Line | Block


class Document(Protocol):
    """Items that grow at their end."""

    @property
    def items(self) -> Sequence[Item]:
        """Everything, from top to bottom."""
        ...

    def append(self, text: str) -> int:
        """Add text; returns the index of the first item that changed (those before it are untouched)."""
        ...

    def finish(self) -> int:
        """No more text comes: settle what was open; returns as `append` does."""
        ...

    def show_source(self, shown: bool) -> None:
        """Let `items` be the text as it was written, or as it is meant to be read."""
        ...


class FixedDocument:
    """Lines that never change: a question, a note."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.items: list[Item] = list(lines)

    def append(self, text: str) -> int:
        """Add `text` as plain lines."""
        first = len(self.items)
        self.items.extend(Line(part) for part in text.split("\n"))
        return first

    def finish(self) -> int:
        """Nothing is ever open."""
        return len(self.items)

    def show_source(self, shown: bool) -> None:
        """There is no other way to show it."""
