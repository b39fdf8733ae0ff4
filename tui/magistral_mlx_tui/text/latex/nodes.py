"""What a formula is made of, once it was read; `parser` makes these and `boxes` draws them."""

from dataclasses import dataclass

from magistral_mlx_tui.text.latex.symbols import Kind


@dataclass(frozen=True, slots=True)
class Atom:
    """One sign, number, function name or piece of text."""

    text: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Row:
    """Parts side by side."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Fraction:
    """One above the other with a bar; without it, a binomial's two numbers in brackets."""

    above: Row
    below: Row
    bar: bool = True
    small: bool = False
    r"""Stays on one line also where there is room (\tfrac)."""


@dataclass(frozen=True, slots=True)
class Root:
    """The square root of something, or the root whose degree is given."""

    body: Row
    degree: Row | None = None


@dataclass(frozen=True, slots=True)
class Scripts:
    """A base with something below and above at its right."""

    base: "Node"
    below: Row | None
    above: Row | None


@dataclass(frozen=True, slots=True)
class Accent:
    """A combining mark on every character of something short."""

    body: Row
    mark: str


@dataclass(frozen=True, slots=True)
class Stacked:
    """Something small straight above or below a body."""

    body: Row
    above: Row | None = None
    below: Row | None = None


@dataclass(frozen=True, slots=True)
class Fenced:
    """A body between delimiters that grow with it; an empty delimiter is none."""

    left: str
    body: Row
    right: str


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows of cells between delimiters: a matrix, cases, or lines of equations aligned at their signs."""

    rows: tuple[tuple[Row, ...], ...]
    left: str = ""
    right: str = ""
    aligned: bool = False
    """Cells lean towards each other in pairs, as `&=` asks for."""


@dataclass(frozen=True, slots=True)
class Boxed:
    """The result."""

    body: Row


Node = Atom | Row | Fraction | Root | Scripts | Accent | Stacked | Fenced | Grid | Boxed
