r"""Emphasis, code, links and formulas inside one line: marks are taken out, what they marked gets a role.

Only what is certain is treated as markup; whatever is in doubt stays as the model wrote it. Outside of
formulas no letter and no digit is ever taken out, and `2 * 3 * 4`, `a**b`, `__init__`, `$5 and $6` keep their
marks. Formulas become readable Unicode where `text.latex` is sure of them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from magistral_mlx_tui.text.latex import flat_formula
from magistral_mlx_tui.text.layout.lines import Role, Span

LONGEST_STYLED = 4000
"""Characters; a longer line is shown as it is, so that no text can make styling slow."""

_DELIMITER = re.compile(r"\\[()\[\]$]|\\boxed\{|\$\$?|`+|!?\[[^\[\]]*\]\([^()\s]+(?:\([^()\s]*\)[^()\s]*)?\)")
_LINK = re.compile(r"!?\[(?P<label>[^\[\]]*)\]\((?P<target>.*)\)", re.DOTALL)
_CLOSING = {r"\(": r"\)", r"\[": r"\]"}
_MARKS = ("*", "`", "$", "\\", "](", "~~")
# The character classes exclude the mark itself, so every search ends at the next mark: linear time.
_EMPHASIS = re.compile(
    r"(?<![\w*\\~])(?:"
    r"\*\*\*(?=[^\s*])(?P<both>[^*]*[^\s*])\*\*\*"
    r"|\*\*(?=[^\s*])(?P<bold>[^*]*[^\s*])\*\*"
    r"|\*(?=[^\s*])(?P<italic>[^*]*[^\s*])\*"
    r"|~~(?=[^\s~])(?P<strike>[^~]*[^\s~])~~"
    r")(?![\w*~])"
)
# What stands between two dollars is arithmetic if it has a sign of mathematics, or no word.
_ARITHMETIC = re.compile(r"(?:\d+(?:[.,]\d+)*|[A-Za-z](?![A-Za-z])|[\s+\-*/().|!<>:≤≥≠±×÷·,'])+")


@dataclass(frozen=True, slots=True)
class _Piece:
    """Characters `start` to `end` of the source are shown as `shown`, with roles inside of it."""

    start: int
    end: int
    shown: str
    spans: tuple[Span, ...]


def style_inline(text: str) -> tuple[str, tuple[Span, ...]]:
    """The text to show, and the roles of its parts in ascending order of their starts."""
    if len(text) > LONGEST_STYLED or not any(mark in text for mark in _MARKS):
        return text, ()
    pieces = list(_pieces(text))
    masked = _masked(text, pieces)
    emphasis: list[Span] = []
    for match in _EMPHASIS.finditer(masked):
        group = match.lastgroup or ""
        start, end = match.span(group)
        if _is_emphasis(group, text[start:end]):
            role: Role = "italic" if group == "italic" else "strike" if group == "strike" else "bold"
            emphasis.append(Span(match.start(), match.end(), role))
            pieces += [_Piece(match.start(), start, "", ()), _Piece(end, match.end(), "", ())]
    return _joined(text, sorted(pieces, key=lambda piece: piece.start), emphasis)


def _is_emphasis(kind: str, inner: str) -> bool:
    """`**85**` is bold; `3 *4* 5` may well be a product."""
    wanted = str.isalpha if kind == "italic" else str.isalnum
    return any(wanted(character) for character in inner)


def _masked(text: str, pieces: list[_Piece]) -> str:
    """`text` with letters in the place of every piece, so that no mark in it counts."""
    parts: list[str] = []
    position = 0
    for piece in pieces:
        parts += [text[position : piece.start], "x" * (piece.end - piece.start)]
        position = piece.end
    return "".join([*parts, text[position:]])


def _pieces(text: str) -> Iterator[_Piece]:
    """Code, formulas and links, from left to right."""
    opened: re.Match[str] | None = None
    taken = 0
    for match in _DELIMITER.finditer(text):
        mark = match.group()
        if match.start() < taken:
            continue
        if opened is None or (opened.group() == "$" and "$" not in text[match.end() :]):
            whole = _link(match) if "](" in mark else _boxed(text, match) if mark == r"\boxed{" else None
            if whole is not None:
                yield whole
                taken, opened = whole.end, None
                continue
        if mark in (r"\boxed{", r"\$") or "](" in mark:
            continue
        if opened is None:
            opened = match if mark not in (r"\)", r"\]") else None
        elif mark == _CLOSING.get(opened.group(), opened.group()):
            inner = text[opened.end() : match.start()]
            if mark[0] == "`":
                if inner.strip():
                    yield _whole(opened.start(), match.end(), inner, "inline_code")
            elif mark != "$" or _is_dollar_formula(inner, text[match.end() : match.end() + 1]):
                yield _formula(text, opened.start(), match.end(), inner)
            else:
                opened = match  # "$5 and $6": the second one may open a formula
                continue
            opened = None
        elif mark[0] in "\\`" and opened.group()[0] == "$":
            opened = match


def _whole(start: int, end: int, shown: str, role: Role) -> _Piece:
    return _Piece(start, end, shown, (Span(0, len(shown), role),))


def _formula(text: str, start: int, end: int, inner: str) -> _Piece:
    shown = flat_formula(inner)
    if shown is None:
        return _whole(start, end, text[start:end], "math")
    return _whole(start, end, shown, "result" if inner.lstrip().startswith(r"\boxed") else "math")


def _boxed(text: str, opening: re.Match[str]) -> _Piece | None:
    r"""A \boxed{...} in the middle of words, without the dollars that should stand around it."""
    depth = 0
    for position in range(opening.end() - 1, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            shown = flat_formula(text[opening.start() : position + 1])
            return _whole(opening.start(), position + 1, shown, "result") if shown else None
    return None


def _link(match: re.Match[str]) -> _Piece | None:
    """A link's words and its target, both to be read and nothing to be clicked."""
    link = _LINK.fullmatch(match.group())
    if link is None:
        return None
    label, target = link["label"], link["target"]
    if not label or label == target:
        return _whole(match.start(), match.end(), target, "link")
    shown = f"{label} ({target})"
    spans = (Span(0, len(label), "link"), Span(len(label), len(shown), "marker"))
    return _Piece(match.start(), match.end(), shown, spans)


def _is_dollar_formula(inner: str, following: str) -> bool:
    if not inner or inner[0].isspace() or inner[-1].isspace() or following.isdigit():
        return False
    return any(sign in inner for sign in "\\^_{}=") or _ARITHMETIC.fullmatch(inner) is not None


def _joined(text: str, pieces: list[_Piece], spans: list[Span]) -> tuple[str, tuple[Span, ...]]:
    """Put what is shown in the place of the pieces and move the `spans` accordingly."""
    shown: list[str] = []
    moved: dict[int, int] = {}
    own: list[Span] = []
    edges = iter(sorted({edge for span in spans for edge in (span.start, span.end)}))
    edge = next(edges, None)
    position = length = 0
    for piece in [*pieces, _Piece(len(text), len(text), "", ())]:
        while edge is not None and edge <= piece.start:
            moved[edge] = length + edge - position
            edge = next(edges, None)
        shown.append(text[position : piece.start])
        length += piece.start - position
        own += [Span(length + span.start, length + span.end, span.role) for span in piece.spans]
        shown.append(piece.shown)
        length += len(piece.shown)
        while edge is not None and edge <= piece.end:
            moved[edge] = length
            edge = next(edges, None)
        position = piece.end
    moved_spans = [Span(moved[span.start], moved[span.end], span.role) for span in spans]
    return "".join(shown), tuple(sorted(moved_spans + own, key=lambda span: span.start))
