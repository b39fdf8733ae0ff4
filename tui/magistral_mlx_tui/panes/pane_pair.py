"""Reasoning and answer: side by side, stacked, one at a time, folded, hidden, zoomed; a search in both."""

from collections.abc import Sequence
from enum import StrEnum

from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.content import Content
from textual.widgets import Input

from magistral_mlx.sanitize import sanitize_line
from magistral_mlx_tui.conversation.controller import Phase
from magistral_mlx_tui.conversation.turns import Turn
from magistral_mlx_tui.panes.feeds import Feed, answer_words, thought_words
from magistral_mlx_tui.panes.find_bar import FindBar
from magistral_mlx_tui.panes.stream_pane import StreamPane
from magistral_mlx_tui.text.format import format_seconds, format_tokens
from magistral_mlx_tui.text.layout.wrap import clip_cells
from magistral_mlx_tui.widgets.plain import PlainStatic

_TAIL = 400
"""Characters from the end of a folded thought, at most."""


class Fold(StrEnum):
    """How much of the reasoning is shown; the value is the typed word."""

    SHOW = "show"
    FOLD = "fold"
    HIDE = "hide"

    @property
    def next(self) -> "Fold":
        """The next state, as the key switches."""
        order = list(Fold)
        return order[(order.index(self) + 1) % len(order)]


class FoldedThought(PlainStatic):
    """The reasoning in one row: its state and its last words."""

    _head = _tail = ""

    def show_thought(self, turn: Turn, *, thinking: bool) -> None:
        """Draw the state of the last thought."""
        sign, word = ("◑ ", "thinking ") if thinking else ("▸ ", "thought ")
        figures = f"{format_seconds(turn.thinking_seconds)} · {format_tokens(turn.reasoning_tokens)}"
        head = f"{sign}{word}{figures}  " if turn.reasoning_tokens else f"{sign}no reasoning  "
        self._head, self._tail = head, sanitize_line("".join(turn.reasoning[-_TAIL:])[-_TAIL:]).strip()
        self.on_resize()

    def on_resize(self) -> None:
        """Show as many of the last words as there is room for."""
        head, tail = self._head, self._tail
        room = max(0, self.size.width - len(head) - 2)
        last = tail if len(tail) <= room else "…" + tail[len(tail) - room + 1 :] if room else ""
        self.show(
            Content.assemble((head, "bold $secondary"), (clip_cells(last, room), "$foreground 60%")),
            layout=False,
        )


class PanePair(Vertical):
    """Both panes and what belongs to them."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._reasoning = StreamPane(title="Reasoning", id="reasoning")
        self._answer = StreamPane(title="Answer", id="answer")
        self._feeds = (
            Feed(self._reasoning, pieces=lambda turn: turn.reasoning, closing_lines=thought_words),
            Feed(self._answer, pieces=lambda turn: turn.answer, closing_lines=answer_words),
        )
        self._fold = Fold.SHOW
        self._switched_by_hand = False
        self._seeking = False

    def compose(self) -> ComposeResult:
        """The folded thought, the panes, the find bar."""
        yield FoldedThought(id="folded")
        with Container(id="pair"):
            yield self._reasoning
            yield self._answer
        yield FindBar(id="find")

    @property
    def panes(self) -> tuple[StreamPane, StreamPane]:
        """Reasoning and answer."""
        return self._reasoning, self._answer

    @property
    def fold(self) -> Fold:
        """How much of the reasoning is shown."""
        return self._fold

    # -- text --------------------------------------------------------------------------------------------

    def sync(self, turns: Sequence[Turn], phase: Phase) -> bool:
        """Show what is new; returns whether there is more than one frame should take."""
        left = [feed.sync(turns) for feed in self._feeds]
        if turns:
            turn = turns[-1]
            thinking = turn.running and phase in (Phase.READING, Phase.THINKING)
            self._reasoning.set_live(thinking)
            self._answer.set_live(turn.running and phase is Phase.ANSWERING)
            if self._fold is Fold.FOLD:
                self.query_one(FoldedThought).show_thought(turn, thinking=thinking)
            if not self._switched_by_hand:
                self.set_class(phase in (Phase.READING, Phase.THINKING), "-show-reasoning")
        return any(left)

    def show_counts(self, turn: Turn) -> None:
        """Show in the borders how long both have become."""
        for pane, count in zip(self.panes, (turn.reasoning_tokens, turn.answer_tokens), strict=True):
            pane.set_status(format_tokens(count) if count else "")

    def clear(self) -> None:
        """Empty the panes."""
        for feed in self._feeds:
            feed.clear()

    def follow(self) -> None:
        """Follow the end of both."""
        for pane in self.panes:
            pane.follow()

    def begin_question(self) -> None:
        """Follow the new question, wherever the view was."""
        self._switched_by_hand = False
        self.follow()

    def page(self, by: int) -> None:
        """Scroll both by a page, on (1) or back (-1)."""
        for pane in self.panes:
            scroll = pane.scroll_page_down if by > 0 else pane.scroll_page_up
            scroll(animate=False)

    def toggle_source(self) -> bool:
        """Switch between raw and rendered text; returns whether it is raw."""
        shown = not self._answer.source_shown
        for pane in self.panes:
            pane.show_source(shown)
        self.set_class(shown, "-source")
        return shown

    # -- layout ------------------------------------------------------------------------------------------

    def toggle_layout(self) -> None:
        """Side by side or stacked, against what the width suggests."""
        self.toggle_class("-other-layout")

    def toggle_reasoning(self) -> None:
        """Show, fold, hide the reasoning in turn; where only one pane fits, switch."""
        if self._one_at_a_time or self._zoomed is not None:
            self._switched_by_hand = True
            shows_answer = self._zoomed is self._answer or not self.has_class("-show-reasoning")
            self._show_only(self._reasoning if shows_answer else self._answer)
        else:
            self.set_fold(self._fold.next)

    def set_fold(self, fold: Fold) -> None:
        """Show that much of the reasoning."""
        self._fold = fold
        for each in Fold:
            self.set_class(each is fold, f"-{each.value}")
        self._draw_folded()

    def _draw_folded(self) -> None:
        turn = self._feeds[0].turn
        if turn is not None and self._fold is Fold.FOLD:
            self.query_one(FoldedThought).show_thought(turn, thinking=turn.running and not turn.answer_tokens)

    def zoom(self) -> None:
        """One pane takes all the room: the one in focus; else the answer, then the reasoning, then both."""
        if self._zoomed is None:
            target: StreamPane | None = self._reasoning if self._reasoning.has_focus else self._answer
        else:
            focused = any(pane.has_focus for pane in self.panes)
            target = self._reasoning if self._zoomed is self._answer and not focused else None
        self._set_zoom(target)

    @property
    def _zoomed(self) -> StreamPane | None:
        return next((pane for pane in self.panes if self.has_class(f"-zoom-{pane.id}")), None)

    def _set_zoom(self, target: StreamPane | None) -> None:
        for pane in self.panes:
            self.set_class(pane is target, f"-zoom-{pane.id}")
        self.screen.set_class(target is not None, "-zoomed")

    @property
    def _one_at_a_time(self) -> bool:
        return self.screen.has_class("-narrow")

    def _show_only(self, pane: StreamPane) -> None:
        self.set_class(pane is self._reasoning, "-show-reasoning")
        if self._zoomed is not None:
            self._set_zoom(pane)

    # -- search ------------------------------------------------------------------------------------------

    def open_find(self) -> None:
        """Open the search with the last query."""
        self.query_one(FindBar).open()
        self._search(self.query_one(FindBar).query_text)

    def find(self, words: str) -> None:
        """Search for `words`."""
        bar = self.query_one(FindBar)
        bar.open()
        bar.query_one(Input).value = words

    def step(self, by: int) -> None:
        """To the next hit (1) or the one before (-1), through both panes and round again."""
        counts = [pane.hits.count for pane in self.panes]
        total = sum(counts)
        if not total:
            return
        current = self._current
        self._go_to(self._nearest() if current is None else (current + by) % total)

    @property
    def _current(self) -> int | None:
        first, second = (pane.hits.current for pane in self.panes)
        if first is not None:
            return first
        return None if second is None else second + self._reasoning.hits.count

    def _nearest(self) -> int:
        """The first hit from the top of what is in view on, in the reasoning, else in the answer."""
        before = 0
        for pane in self.panes:
            number = pane.hits.first_from_row(pane.scroll_offset.y)
            if number < pane.hits.count and pane.region.height:
                return before + number
            before += pane.hits.count
        return 0

    def _go_to(self, number: int) -> None:
        split = self._reasoning.hits.count
        target, other = self.panes if number < split else self.panes[::-1]
        other.show_hit(None)
        self._reveal(target)
        target.show_hit(number if target is self._reasoning else number - split)
        self._show_count()

    def _reveal(self, pane: StreamPane) -> None:
        """Make a pane visible that is not."""
        if self._one_at_a_time or (self._zoomed is not None and self._zoomed is not pane):
            self._switched_by_hand = True
            self._show_only(pane)
        if pane is self._reasoning and self._fold is not Fold.SHOW and self._zoomed is None:
            self.set_fold(Fold.SHOW)

    def _search(self, query: str) -> None:
        for pane in self.panes:
            pane.search(query)
        self._seeking = bool(query)
        self._seek()
        self._show_count()

    def _seek(self) -> None:
        """To the nearest hit, once all is laid out: what is not laid out yet has no hits."""
        if self._seeking and all(pane.settled for pane in self.panes):
            self._seeking = False
            if any(pane.hits.count for pane in self.panes):
                self._go_to(self._nearest())

    @on(FindBar.Query)
    def _query_changed(self, event: FindBar.Query) -> None:
        event.stop()
        self._search(event.text)

    @on(FindBar.Step)
    def _step_asked(self, event: FindBar.Step) -> None:
        event.stop()
        self.step(event.by)

    @on(FindBar.Closed)
    def _find_closed(self) -> None:
        for pane in self.panes:
            pane.search("")

    @on(StreamPane.HitsChanged)
    def _hits_changed(self) -> None:
        self._seek()
        self._show_count()

    def _show_count(self) -> None:
        counts = [pane.hits.count for pane in self.panes]
        self.query_one(FindBar).show_count(self._current, counts[0], counts[1])
