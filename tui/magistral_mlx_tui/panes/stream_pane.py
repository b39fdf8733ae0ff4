"""A pane for text that streams: Textual's line API, soft wrap, follow-the-end; its cost does not grow.

Only the rows on the screen are ever drawn, an append wraps the last row again (see `text.layout`), and drawn
rows are kept until they change.
"""

from collections.abc import Callable
from typing import ClassVar, Self, get_args

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from magistral_mlx_tui.panes.hits import Hits
from magistral_mlx_tui.panes.painting import FULL_WIDTH, mark_selection, segments_of
from magistral_mlx_tui.text.layout.lines import Document, Item, Role
from magistral_mlx_tui.text.layout.rows import Layout

_ROLES: tuple[Role, ...] = tuple(role for role in get_args(Role) if role != "text")
_MOST_KEPT_STRIPS = 2000
_SLICE = 0.008
"""Seconds of laying out between two chances for everything else."""


class StreamPane(ScrollView, can_focus=True):
    """Documents one after the other; the last one may grow.

    Follows the end while it is in view; scrolled away it stays where it is, and its border says that there is
    new text below.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"stream-pane--{role.replace('_', '-')}" for role in _ROLES),
        "stream-pane--caret",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "screen.obey('source')", "Source", show=False),
        Binding("z", "screen.obey('zoom')", "Zoom", show=False),
        Binding("slash", "screen.obey('find')", "Find", show=False),
    ]

    _bordering = False
    """Whether it is only the words in the border that change."""

    class HitsChanged(Message):
        """There are other hits of the search than before."""

    def __init__(self, *, title: str, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.border_title = Content(title)
        self._documents: list[Document] = []
        self._first_items: list[int] = []
        self._layout_width = 40
        self._layout = Layout(self._layout_width)
        self.hits = Hits(self._layout)
        self._strips: dict[int, Strip] = {}
        self._styles_of_roles: dict[tuple[str, bool], Style] = {}
        self._live = False
        self._following = True
        self._new_below = False
        self._source_shown = False
        self._settling = False
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
    def settled(self) -> bool:
        """Whether everything is laid out for the present width."""
        return self._layout.settled

    @property
    def source_shown(self) -> bool:
        """Whether everything is shown as the model wrote it."""
        return self._source_shown

    @property
    def plain_text(self) -> str:
        """Everything in the pane as it is shown, one line of the screen per line."""
        self._settle_all()
        return "\n".join(self._layout.row(number).text for number in range(self._layout.height))

    def add(self, document: Document) -> None:
        """Show `document` below what is there; text appended from now on goes to it."""
        document.show_source(self._source_shown)
        self._documents.append(document)
        self._first_items.append(len(self._layout.items))
        self._changed(0)

    def append(self, text: str) -> None:
        """Add text to the last document."""
        self._changed(self._documents[-1].append(text))

    def finish(self) -> None:
        """The last document is complete."""
        self._changed(self._documents[-1].finish())

    def clear(self) -> None:
        """Remove everything."""
        self._documents, self._first_items = [], []
        self._layout.reset([])
        self.hits.update(0)
        self._strips.clear()
        self._following, self._new_below = True, False
        self._measure()
        self.scroll_home(animate=False, immediate=True)
        self._show_border()
        self.refresh()

    def set_live(self, live: bool) -> None:
        """Show a caret at the end: more is coming."""
        if live != self._live:
            self._live = live
            self._drop_strips(self._layout.height - 1)
            self._refresh_rows(self._layout.height - 1, self._layout.height)

    def set_status(self, status: str) -> None:
        """A few words in the border, such as "214 tokens"."""
        if status != self._status:
            self._status = status
            self._show_border()

    def follow(self) -> None:
        """Go to the end and stay there."""
        self._following, self._new_below = True, False
        self._to_end()
        self._show_border()

    def show_source(self, shown: bool) -> None:
        """Show everything as the model wrote it, or as it is meant to be read."""
        if shown == self._source_shown:
            return
        self._source_shown = shown
        at = self.scroll_offset.y / max(1, self._layout.height)
        items: list[Item] = []
        self._first_items = []
        for document in self._documents:
            document.show_source(shown)
            self._first_items.append(len(items))
            items.extend(document.items)
        self._layout.reset(items)
        self._laid_out_anew(lambda: round(at * self._layout.height))

    # -- growth ------------------------------------------------------------------------------------------

    def _changed(self, item: int) -> None:
        """The last document changed from its item `item` on."""
        follow, first, height = self._following, self._first_items[-1] + item, self._layout.height
        changed = self._layout.replace_from(first, self._documents[-1].items[item:])
        self._drop_strips(changed - 1)  # the row before may have carried the caret
        self._measure()
        self._refresh_rows(changed - 1, max(height, self._layout.height))
        if self.hits.active:
            self.hits.update(first)
            self.post_message(self.HitsChanged())
        if follow:
            self._to_end()
        self._following = follow
        self._new_below = not follow
        self._show_border()

    def _measure(self) -> None:
        """Tell Textual how many rows there are.

        Set the usual way, a new size makes it lay out and draw the whole screen. But the stylesheet keeps the
        scroll bar always there, so nothing but the bar itself depends on the number of rows.
        """
        size = Size(self._layout_width, self._layout.height)
        if size != self.virtual_size:
            self.set_reactive(Widget.virtual_size, size)  # pyright: ignore[reportArgumentType] - a class's reactive is its descriptor
            self.vertical_scrollbar.window_virtual_size = size.height
            self.scroll_y = min(self.scroll_y, self.max_scroll_y)

    def _to_end(self) -> None:
        self.scroll_end(animate=False, immediate=True, x_axis=False, force=True)

    def _drop_strips(self, first: int) -> None:
        if len(self._strips) > _MOST_KEPT_STRIPS:
            self._strips.clear()
        for number in [number for number in self._strips if number >= first]:
            del self._strips[number]

    def _refresh_rows(self, first: int, end: int) -> None:
        """Draw again what is in view of the rows from `first` until before `end`, and nothing else."""
        top, height = self.scroll_offset.y, self.scrollable_content_region.height
        y, below = max(0, first - top), min(height, end - top)
        if y < below:
            self.refresh(Region(0, y, self.size.width, below - y))

    def _show_border(self) -> None:
        below = self._layout.height - self.scroll_offset.y - self.scrollable_content_region.height
        behind = not self._following and below > 0
        self.set_class(behind and self._new_below, "-behind")
        words = "new text below" if self._new_below else "more below"
        text = f"▼ {words} · {below:,} rows · ctrl+end" if behind else self._status
        if str(self.border_subtitle or "") != text:
            self._bordering = True
            self.border_subtitle = Content(text)
            self._bordering = False

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> Self:
        """Draw again; new words in the border take its last row alone, not the pane as Textual would."""
        if self._bordering and not regions and self.outer_size:
            left, above = self.content_offset
            regions = (Region(-left, self.outer_size.height - 1 - above, self.outer_size.width, 1),)
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    # -- searching ---------------------------------------------------------------------------------------

    def search(self, query: str) -> None:
        """Mark every place where `query` stands; an empty one ends the search."""
        self.hits.search(query)
        self._redraw()
        self.post_message(self.HitsChanged())

    def show_hit(self, number: int | None) -> None:
        """Make hit `number` the current one and bring it into view."""
        if number is None:
            self.hits.current = None
        else:
            row = self.hits.go_to(number)
            top, height = self.scroll_offset.y, self.scrollable_content_region.height
            if not top <= row < top + height:
                self.scroll_to(y=max(0, row - height // 3), animate=False, immediate=True, force=True)
        self._redraw()

    def _redraw(self) -> None:
        self._strips.clear()
        self.refresh()

    # -- scrolling and resizing --------------------------------------------------------------------------

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scrolling away from the end stops following it; coming back resumes."""
        super().watch_scroll_y(old_value, new_value)
        self._following = round(new_value) >= self.max_scroll_y
        self._new_below = self._new_below and not self._following
        self._show_border()

    def on_resize(self, _event: events.Resize) -> None:
        """Wrap anew for the new width; what stood at the top stays there, unless the end is followed."""
        width = max(1, self.scrollable_content_region.width)
        if width == self._layout_width:
            if self._following:
                self.follow()
            return
        top = self._layout.place_of(self.scroll_offset.y)
        self._layout_width = width
        self._layout.set_width(width)
        self._laid_out_anew(lambda: self._layout.row_at(top))

    def _laid_out_anew(self, top: Callable[[], int]) -> None:
        """Everything has to be laid out: what is looked at now, the rest in slices."""
        follow, height = self._following, max(1, self.scrollable_content_region.height)
        first = self._layout.height - height if follow else top()
        while self._layout.settle_rows(max(0, first), height):
            first = self._layout.height - height if follow else top()
        self._place_view(follow=follow, top=first)
        if not self._layout.settled and not self._settling:
            self._settling = True
            self.set_timer(_SLICE, self._settle_slice)
        self._search_anew()

    def _settle_slice(self) -> None:
        follow, top = self._following, self._layout.place_of(self.scroll_offset.y)
        self._settling = not self._layout.settle(_SLICE)
        self._place_view(follow=follow, top=self._layout.row_at(top))
        if self._settling:
            self.set_timer(_SLICE, self._settle_slice)
        else:
            self._search_anew()

    def _settle_all(self) -> None:
        if not self._layout.settled:
            follow, top = self._following, self._layout.place_of(self.scroll_offset.y)
            self._layout.settle()
            self._place_view(follow=follow, top=self._layout.row_at(top))

    def _place_view(self, *, follow: bool, top: int) -> None:
        """Row numbers changed: put the view where it was."""
        self._strips.clear()
        self._measure()
        self._following = follow
        if follow:
            self._to_end()
        else:
            self.scroll_to(y=max(0, top), animate=False, immediate=True, force=True)
        self._following = follow
        self._show_border()
        self.refresh()

    def _search_anew(self) -> None:
        if self.hits.active and self._layout.settled:
            self.hits.update(0)
            self.post_message(self.HitsChanged())

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
            return Strip.blank(width, self._style("text", False))
        if self.text_selection is not None:
            return self._draw(number, width).apply_offsets(0, number)
        strip = self._strips.get(number)
        if strip is None or strip.cell_length != width:
            strip = self._strips[number] = self._draw(number, width).apply_offsets(0, number)
        return strip

    def _draw(self, number: int, width: int) -> Strip:
        row = self._layout.row(number)
        if row.line.role == "rule":
            return Strip([Segment("─" * width, self._style("marker", False))], width)
        hits = self.hits.spans_of(row) if self.hits.active else ()
        segments = segments_of(row, self._style, hits)
        if (selection := self.text_selection) is not None and (span := selection.get_span(number)):
            mark = self.screen.get_component_rich_style("screen--selection")
            segments = mark_selection(segments, *span, mark)
        if self._live and number == self._layout.height - 1:
            segments.append(Segment("▍", self._style("caret", False)))
        fill = (
            self._style(row.line.role, False) if row.line.role in FULL_WIDTH else self._style("text", False)
        )
        return Strip(segments).adjust_cell_length(width, fill)

    def _style(self, role: str, partial: bool) -> Style:
        key = (role, partial)
        style = self._styles_of_roles.get(key)
        if style is None:
            name = f"stream-pane--{role.replace('_', '-')}"
            plain = role == "text"
            style = self.rich_style if plain else self.get_component_rich_style(name, partial=partial)
            self._styles_of_roles[key] = style
        return style

    # -- selecting with the mouse ------------------------------------------------------------------------

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text, rows of one line joined again."""
        self._settle_all()
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
        self._redraw()
