"""A pane for text that streams: Textual's line API, soft wrap, follow-the-end; its cost does not grow.

Only the rows on the screen are ever drawn, an append wraps the last row again (see `text.layout`), and drawn
rows are kept until they change.
"""

from itertools import pairwise
from typing import ClassVar, get_args

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.content import Content
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from magistral_mlx_tui.text.layout import Layout, Row
from magistral_mlx_tui.text.lines import Document, Line, Role

_ROLES: tuple[Role, ...] = tuple(role for role in get_args(Role) if role != "text")
_FULL_WIDTH: frozenset[Role] = frozenset({"question", "attachment", "code", "fence"})
"""Roles whose background reaches to the pane's edge."""
_MOST_KEPT_STRIPS = 2000


class StreamPane(ScrollView, can_focus=True):
    """Documents one after the other; the last one may grow.

    Follows the end while it is in view; scrolled away it stays where it is, and its border says how much
    is below.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"stream-pane--{role.replace('_', '-')}" for role in _ROLES),
        "stream-pane--caret",
    }

    def __init__(self, *, title: str, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.border_title = Content(title)
        self._title = title
        self._documents: list[Document] = []
        self._first_lines: list[int] = []
        self._layout_width = 40
        self._layout = Layout(self._layout_width)
        self._strips: dict[int, Strip] = {}
        self._styles_of_roles: dict[str, Style] = {}
        self._live = False
        self._following = True
        self._status = ""

    @property
    def text_width(self) -> int:
        """Cells of a row."""
        return self._layout_width

    @property
    def following(self) -> bool:
        """Whether the end is in view and stays there when text arrives."""
        return self._following

    @property
    def plain_text(self) -> str:
        """Everything in the pane as it is shown, one line of the screen per line."""
        return "\n".join(self._layout.row(number).text for number in range(self._layout.height))

    def add(self, document: Document) -> None:
        """Show `document` below what is there; text appended from now on goes to it."""
        document.set_width(self._layout_width)
        self._documents.append(document)
        self._first_lines.append(len(self._layout.lines))
        self._changed(0)

    def append(self, text: str) -> None:
        """Add text to the last document."""
        self._changed(self._documents[-1].append(text))

    def finish(self) -> None:
        """The last document is complete."""
        self._changed(self._documents[-1].finish())

    def clear(self) -> None:
        """Remove everything."""
        self._documents, self._first_lines = [], []
        self._layout = Layout(self._layout_width)
        self._strips.clear()
        self._following = True
        self.virtual_size = Size(self._layout_width, 0)
        self.scroll_home(animate=False, immediate=True)
        self.refresh()

    def set_live(self, live: bool) -> None:
        """Show a caret at the end: more is coming."""
        if live != self._live:
            self._live = live
            self._drop_strips(self._layout.height - 1)
            self._refresh_rows(self._layout.height - 1)

    def set_status(self, status: str) -> None:
        """A few words in the border, such as "214 tokens"."""
        if status != self._status:
            self._status = status
            self._show_border()

    def follow(self) -> None:
        """Go to the end and stay there."""
        self._following = True
        self._to_end()
        self._show_border()

    # -- growth ------------------------------------------------------------------------------------------

    def _changed(self, line: int) -> None:
        """The last document changed from its line `line` on."""
        follow = self._following
        changed = self._layout.replace_from(self._first_lines[-1] + line, self._documents[-1].lines[line:])
        self._drop_strips(changed - 1)  # the row before may have carried the caret
        height = self._layout.height
        if height != self.virtual_size.height:
            self.virtual_size = Size(self._layout_width, height)
        self._refresh_rows(changed - 1)
        if follow:
            self._to_end()
        self._following = follow
        self._show_border()

    def _to_end(self) -> None:
        # Forced, because a pane that has just outgrown its view has no scroll bar yet and would refuse.
        self.scroll_end(animate=False, immediate=True, x_axis=False, force=True)

    def _drop_strips(self, first: int) -> None:
        if len(self._strips) > _MOST_KEPT_STRIPS:
            self._strips.clear()
        for number in [number for number in self._strips if number >= first]:
            del self._strips[number]

    def _refresh_rows(self, first: int) -> None:
        """Draw again what is in view of the rows from `first` on."""
        top, view = self.scroll_offset.y, self.scrollable_content_region.size
        if first < top + view.height:
            y = max(0, first - top)
            self.refresh(Region(0, y, self.size.width, max(1, view.height - y)))

    def _show_border(self) -> None:
        below = self._layout.height - self.scroll_offset.y - self.scrollable_content_region.height
        if self._following or below <= 0:
            self.border_subtitle = Content(self._status)
        else:
            self.border_subtitle = Content(f"▼ {below} more below · End follows")

    # -- scrolling and resizing --------------------------------------------------------------------------

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scrolling away from the end stops following it; coming back resumes."""
        super().watch_scroll_y(old_value, new_value)
        self._following = round(new_value) >= self.max_scroll_y
        self._show_border()

    def on_resize(self, _event: events.Resize) -> None:
        """Wrap anew for the new width; what stood at the top stays there, unless the end is followed."""
        follow = self._following
        width = max(1, self.scrollable_content_region.width)
        if width != self._layout_width:
            self._wrap_anew(width)
        if follow:
            self.follow()

    def _wrap_anew(self, width: int) -> None:
        top = self._layout.line_of_row(self.scroll_offset.y)
        self._layout_width = width
        lines: list[Line] = []
        self._first_lines = []
        for document in self._documents:
            document.set_width(width)
            self._first_lines.append(len(lines))
            lines.extend(document.lines)
        self._layout.rewrap(lines, width)
        self._strips.clear()
        self.virtual_size = Size(width, self._layout.height)
        if not self._following and top < len(lines):
            self.scroll_to(y=self._layout.row_of_line(top), animate=False, immediate=True, force=True)
        self.refresh()

    # -- drawing -----------------------------------------------------------------------------------------

    def notify_style_update(self) -> None:
        """The theme changed: nothing drawn is right any more."""
        super().notify_style_update()
        self._styles_of_roles.clear()
        self._strips.clear()

    def render_line(self, y: int) -> Strip:
        """Row `y` of the view."""
        number = self.scroll_offset.y + y
        width = self.size.width
        if number >= self._layout.height:
            return Strip.blank(width, self.rich_style)
        if self.text_selection is not None:
            return self._draw(number, width).apply_offsets(0, number)
        strip = self._strips.get(number)
        if strip is None or strip.cell_length != width:
            strip = self._strips[number] = self._draw(number, width).apply_offsets(0, number)
        return strip

    def _draw(self, number: int, width: int) -> Strip:
        row = self._layout.row(number)
        base = self._style(row.line.role)
        if row.line.role == "rule":
            return Strip([Segment("─" * width, self._style("marker"))], width)
        segments = self._mark_selection(self._segments(row, base), number)
        if self._live and number == self._layout.height - 1:
            segments.append(Segment("▍", self._style("caret")))
        fill = base if row.line.role in _FULL_WIDTH else self.rich_style
        return Strip(segments).adjust_cell_length(width, fill)

    def _segments(self, row: Row, base: Style) -> list[Segment]:
        """The row's text cut where its style changes."""
        line, text = row.line, row.line.text
        lead_style = base if line.role in _FULL_WIDTH else self._style("marker")
        segments = [Segment(row.lead, lead_style)] if row.lead else []
        spans = [span for span in line.spans if span.start < row.end and span.end > row.start]
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
                    style = style + self._style(span.role, partial=True)
            segments.append(Segment(text[start:end], style))
        return segments

    def _style(self, role: str, *, partial: bool = False) -> Style:
        if role == "text":
            return self.rich_style
        key = f"{role}/{partial}"
        if key not in self._styles_of_roles:
            name = f"stream-pane--{role.replace('_', '-')}"
            self._styles_of_roles[key] = self.get_component_rich_style(name, partial=partial)
        return self._styles_of_roles[key]

    # -- selecting with the mouse ------------------------------------------------------------------------

    def _mark_selection(self, segments: list[Segment], number: int) -> list[Segment]:
        selection = self.text_selection
        span = selection.get_span(number) if selection is not None else None
        if span is None:
            return segments
        marked = self.screen.get_component_rich_style("screen--selection")
        start, end = span[0], span[1] if span[1] >= 0 else sum(len(segment.text) for segment in segments)
        position, result = 0, list[Segment]()
        for text, style, _control in segments:
            first = min(max(start - position, 0), len(text))
            last = min(max(end - position, first), len(text))
            parts = (
                (text[:first], style),
                (text[first:last], (style or Style()) + marked),
                (text[last:], style),
            )
            result += [Segment(part, look) for part, look in parts if part]
            position += len(text)
        return result

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text, rows of one line joined again."""
        pieces: list[str] = []
        for number in range(self._layout.height):
            span = selection.get_span(number)
            if span is None:
                continue
            row = self._layout.row(number)
            if pieces and row.start == 0:
                pieces.append("\n")
            pieces.append(row.text[span[0] : None if span[1] < 0 else span[1]])
        return "".join(pieces), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """The selection changed: draw it."""
        self._strips.clear()
        self.refresh()
