"""Rows -> segments: a row's text cut where its style changes, with hits and selection laid over it."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise

from rich.segment import Segment
from rich.style import Style

from magistral_mlx_tui.text.layout.lines import Role, Span
from magistral_mlx_tui.text.layout.rows import Row
from magistral_mlx_tui.text.markdown.inline import LONGEST_STYLED

FULL_WIDTH: frozenset[Role] = frozenset({"question", "attachment", "code", "fence"})
"""Roles whose background reaches to the pane's edge."""

StyleOf = Callable[[str, bool], Style]
"""The style of a role; the second argument asks for what it adds to the style below it alone."""


def segments_of(row: Row, style_of: StyleOf, hits: Sequence[Span] = ()) -> list[Segment]:
    """The segments of a row; `hits` are drawn over everything else."""
    line = row.line
    base = style_of(line.role, False)
    lead_style = base if line.role in FULL_WIDTH else style_of("marker", False)
    segments = [Segment(row.lead, lead_style)] if row.lead else []
    spans = [*_spans_within(row), *hits]
    edges = sorted(
        {
            row.start,
            row.end,
            *(edge for span in spans for edge in (span.start, span.end) if row.start < edge < row.end),
        }
    )
    for start, end in pairwise(edges):
        style = base
        for span in spans:
            if span.start <= start and span.end >= end:
                style = style + style_of(span.role, True)
        segments.append(Segment(line.text[start:end], style))
    return segments


def _spans_within(row: Row) -> list[Span]:
    """The spans that touch a row; ascending by their starts, each within a piece that was styled at once."""
    spans = row.line.spans
    first = bisect_left(spans, row.start - 4 * LONGEST_STYLED, key=_start_of) if len(spans) > 64 else 0
    last = bisect_left(spans, row.end, key=_start_of)
    return [span for span in spans[first:last] if span.end > row.start]


def _start_of(span: Span) -> int:
    return span.start


def mark_selection(segments: Sequence[Segment], start: int, end: int, mark: Style) -> list[Segment]:
    """The segments with `mark` added from character `start` to `end` of the row; -1: to its end."""
    end = end if end >= 0 else sum(len(segment.text) for segment in segments)
    position, result = 0, list[Segment]()
    for text, style, _control in segments:
        first = min(max(start - position, 0), len(text))
        last = min(max(end - position, first), len(text))
        parts = (
            (text[:first], style),
            (text[first:last], (style or Style()) + mark),
            (text[last:], style),
        )
        result += [Segment(part, look) for part, look in parts if part]
        position += len(text)
    return result
