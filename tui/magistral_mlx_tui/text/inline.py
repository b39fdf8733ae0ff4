"""Emphasis, code and formulas inside one line: marks are taken out, what they marked gets a role.

Only what is certain is treated as markup; whatever is in doubt stays as the model wrote it. No letter and no
digit is ever taken out, and `2 * 3 * 4`, `a**b` or `__init__` keep their marks.
"""

import re
from collections.abc import Iterator

from magistral_mlx_tui.text.lines import Role, Span

LONGEST_STYLED = 4000
"""Characters; a longer line is shown as it is, so that no text can make styling slow."""

_DELIMITER = re.compile(r"\\[()\[\]]|\$\$?|`+")
_CLOSING = {r"\(": r"\)", r"\[": r"\]"}
# The character classes exclude the mark itself, so every search ends at the next mark: linear time.
_EMPHASIS = re.compile(
    r"(?<![\w*\\])(?:"
    r"\*\*\*(?=[^\s*])(?P<both>[^*]*[^\s*])\*\*\*"
    r"|\*\*(?=[^\s*])(?P<bold>[^*]*[^\s*])\*\*"
    r"|\*(?=[^\s*])(?P<italic>[^*]*[^\s*])\*"
    r")(?![\w*])"
)


def style_inline(text: str) -> tuple[str, tuple[Span, ...]]:
    """The text to show, and the roles of its parts in ascending order of their starts."""
    if len(text) > LONGEST_STYLED or not any(mark in text for mark in "*`$\\"):
        return text, ()
    marks: list[tuple[int, int]] = []
    spans: list[Span] = []
    masked = text
    for start, end, hidden, role in _protected(text):
        spans.append(Span(start, end, role))
        marks += [(start, start + hidden), (end - hidden, end)] if hidden else []
        masked = masked[:start] + "x" * (end - start) + masked[end:]
    for match in _EMPHASIS.finditer(masked):
        group = match.lastgroup or ""
        inner_start, inner_end = match.span(group)
        if not _is_emphasis(group, text[inner_start:inner_end]):
            continue
        spans.append(Span(match.start(), match.end(), "italic" if group == "italic" else "bold"))
        marks += [(match.start(), inner_start), (inner_end, match.end())]
    return _without(text, sorted(marks), sorted(spans, key=lambda span: span.start))


def _is_emphasis(kind: str, inner: str) -> bool:
    """`**85**` is bold; `3 *4* 5` may well be a product."""
    wanted = str.isalnum if kind != "italic" else str.isalpha
    return any(wanted(character) for character in inner)


def _protected(text: str) -> Iterator[tuple[int, int, int, Role]]:
    """Code and formulas: start, end, length of the marks to hide at each end (0: they stay), role."""
    opened: re.Match[str] | None = None
    for match in _DELIMITER.finditer(text):
        mark = match.group()
        if opened is None:
            opened = match if mark not in (r"\)", r"\]") else None
        elif mark == _CLOSING.get(opened.group(), opened.group()):
            inner = text[opened.end() : match.start()]
            if mark[0] == "`":
                if inner.strip():
                    yield opened.start(), match.end(), len(mark), "inline_code"
            elif mark != "$" or _is_dollar_formula(inner):
                yield opened.start(), match.end(), 0, "math"
            else:
                opened = match  # "$5 and $6": the second one may open a formula
                continue
            opened = None
        elif mark[0] == "\\" and opened.group()[0] == "$":
            opened = match


def _is_dollar_formula(inner: str) -> bool:
    if not inner or inner[0].isspace() or inner[-1].isspace():
        return False
    return any(sign in inner for sign in "\\^_{}=") or (len(inner) == 1 and inner.isalpha())


def _without(text: str, marks: list[tuple[int, int]], spans: list[Span]) -> tuple[str, tuple[Span, ...]]:
    """Cut the `marks` out of `text` and move the `spans` accordingly."""
    shown: list[str] = []
    moved: dict[int, int] = {}
    edges = iter(sorted({edge for span in spans for edge in (span.start, span.end)}))
    edge = next(edges, None)
    position = removed = 0
    for start, end in [*marks, (len(text), len(text))]:
        while edge is not None and edge <= start:
            moved[edge] = edge - removed
            edge = next(edges, None)
        shown.append(text[position:start])
        while edge is not None and edge <= end:
            moved[edge] = start - removed
            edge = next(edges, None)
        removed += end - start
        position = end
    return "".join(shown), tuple(Span(moved[span.start], moved[span.end], span.role) for span in spans)
