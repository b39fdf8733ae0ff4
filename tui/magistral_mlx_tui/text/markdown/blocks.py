"""One finished source line outside of code, tables and formulas -> the line to show."""

import re

from magistral_mlx_tui.text.layout.lines import Line, Role, Span
from magistral_mlx_tui.text.markdown.inline import LONGEST_STYLED, style_inline

FENCE = re.compile(r"(?P<indent>\s{0,20})(?P<mark>`{3,}|~{3,})\s*(?P<info>[^`]*)")
_HEADING = re.compile(r" {0,3}(?P<level>#{1,6})\s+(?P<text>.*)", re.DOTALL)
_LIST_ITEM = re.compile(r"(?P<indent>\s*)(?P<mark>[-*+]|\d{1,9}[.)])(?P<gap>\s+)(?P<text>\S.*)", re.DOTALL)
_TASK = re.compile(r"\[(?P<state>[ xX])\]\s+(?P<text>\S.*)", re.DOTALL)
_QUOTE = re.compile(r" {0,3}(?P<marks>>(?:\s?>)*)\s?(?P<text>.*)", re.DOTALL)
_RULE = re.compile(r" {0,3}(?:(?:-\s*){3,}|(?:\*\s*){3,}|(?:_\s*){3,})")
_LONGEST_RULE = 200
_DEEPEST_HANG = 20
_BULLETS = "•◦▪"
_SEGMENT = 1500
"""Characters after which a long line is styled in pieces; a mark that is open there stays a mark."""


class Styler:
    """Styles a line that grows: what was styled once is not looked at again.

    A long line is cut at spaces where no mark is open, at places that depend on nothing behind them: so a
    line that grew is styled exactly as one that came whole.
    """

    def __init__(self) -> None:
        self._source = ""
        self._shown = ""
        self._spans: tuple[Span, ...] = ()

    def style(self, source: str) -> tuple[str, tuple[Span, ...]]:
        """What to show of a line, and the roles of its parts."""
        if len(source) <= _SEGMENT:
            return style_inline(source)
        if not source.startswith(self._source):
            self._source, self._shown, self._spans = "", "", ()
        while (end := _segment_end(source, len(self._source))) is not None:
            self._take(source[len(self._source) : end])
        shown, spans = style_inline(source[len(self._source) :])
        return self._shown + shown, self._spans + _moved(spans, len(self._shown))

    def _take(self, segment: str) -> None:
        shown, spans = style_inline(segment)
        self._spans += _moved(spans, len(self._shown))
        self._shown += shown
        self._source += segment


def _segment_end(source: str, start: int) -> int | None:
    """Where the segment that begins at `start` ends; None while it may still grow."""
    latest = start + LONGEST_STYLED
    position = start + _SEGMENT
    while (position := source.find(" ", position, latest) + 1) > 0:
        segment = source[start:position]
        if all(segment.count(mark) % 2 == 0 for mark in ("`", "$", "*")) and (
            segment.count(r"\(") == segment.count(r"\)") and segment.count("[") == segment.count("]")
        ):
            return position
    return latest if len(source) > latest else None


def _moved(spans: tuple[Span, ...], by: int) -> tuple[Span, ...]:
    return tuple(Span(span.start + by, span.end + by, span.role) for span in spans) if by else spans


def line_of(source: str, styler: Styler) -> Line:
    """The line to show for a source line."""
    if not source.strip():
        return Line("")
    if len(source) <= _LONGEST_RULE and _RULE.fullmatch(source):
        return Line("", "rule")
    if match := _HEADING.fullmatch(source):
        roles: tuple[Role, ...] = ("title", "heading", "subheading")
        return _styled(match["text"], roles[min(len(match["level"]), 3) - 1], styler)
    if match := _LIST_ITEM.fullmatch(source):
        return _list_item(match, styler)
    if match := _QUOTE.fullmatch(source):
        bars = "▎ " * min(match["marks"].count(">"), _DEEPEST_HANG // 2)
        return _styled(match["text"], "quote", styler, lead=bars, hang=bars)
    text = source.lstrip(" ")
    indent = " " * min(len(source) - len(text), _DEEPEST_HANG)
    return _styled(text, "text", styler, lead=indent, hang=indent)


def _list_item(match: re.Match[str], styler: Styler) -> Line:
    indent, text = match["indent"], match["text"]
    mark = match["mark"]
    if mark in "-*+":
        mark = _BULLETS[len(indent) // 2 % len(_BULLETS)]
        if task := _TASK.fullmatch(text):
            mark, text = "☐" if task["state"] == " " else "☑", task["text"]
    lead = indent + mark + " "
    return _styled(text, "text", styler, lead=lead, hang=" " * min(len(lead), _DEEPEST_HANG))


def _styled(source: str, role: Role, styler: Styler, *, lead: str = "", hang: str = "") -> Line:
    text, spans = styler.style(source)
    return Line(text, role, spans, lead, hang)
