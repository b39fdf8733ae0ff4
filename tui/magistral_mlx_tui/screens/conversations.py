"""All conversations: search, open, rename, delete, restore, export."""

import asyncio
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from magistral_mlx.errors import MagistralError
from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.sessions.export.words import day
from magistral_mlx.sessions.library import Library, Summary
from magistral_mlx.sessions.search import Hit
from magistral_mlx.sessions.session import Session
from magistral_mlx_tui.conversation.exporting import export_freely
from magistral_mlx_tui.screens.export import ExportChoice, ExportScreen
from magistral_mlx_tui.screens.one_line import OneLineScreen
from magistral_mlx_tui.widgets.plain import PlainStatic

_KEYS = "Enter opens · Ctrl+D deletes · Ctrl+Z restores · F2 renames · Ctrl+E exports · Esc closes"


class ConversationsScreen(ModalScreen[str | None]):
    """Returns the id of the conversation to open, or None.

    Args:
        library: all conversations.
        current: the one on the screen.
        words: the first search.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+s", "dismiss(None)", "Close", show=False, priority=True),
        Binding("up", "move(-1)", "Up", show=False, priority=True),
        Binding("down", "move(1)", "Down", show=False, priority=True),
        Binding("pageup", "move(-10)", "Up", show=False, priority=True),
        Binding("pagedown", "move(10)", "Down", show=False, priority=True),
        Binding("ctrl+d", "delete", "Delete", show=False, priority=True),
        Binding("ctrl+z", "restore", "Restore", show=False, priority=True),
        Binding("f2", "rename", "Rename", show=False, priority=True),
        Binding("ctrl+e", "export", "Export", show=False, priority=True),
        Binding("ctrl+q", "app.quit", "Quit", show=False, priority=True),
    ]

    def __init__(self, library: Library, *, current: Session, words: str = "") -> None:
        super().__init__()
        self._library = library
        self._current = current
        self._words = words

    def compose(self) -> ComposeResult:
        """The search, the list, the keys."""
        with Vertical(id="conversations-box") as box:
            box.border_title = Content("Conversations")
            yield Input(self._words, placeholder="Search questions, reasoning, answers")
            yield OptionList(id="conversation-list", markup=False)
            yield PlainStatic(id="conversation-words")
            yield PlainStatic(_KEYS, classes="hint")

    def on_mount(self) -> None:
        """Show all of them."""
        self.query_one(Input).focus()
        self._show()

    # -- the list ----------------------------------------------------------------------------------------

    @on(Input.Changed)
    def _search(self) -> None:
        self._show()

    @work(exclusive=True)
    async def _show(self, *, chosen: int = 0) -> None:
        words = self.query_one(Input).value
        try:
            summaries, hits = await asyncio.to_thread(self._look, words)
        except MagistralError as error:
            self._say(str(error))
            return
        shown = self.query_one(OptionList)
        shown.clear_options()
        shown.add_options([Option(self._row(each, hits.get(each.id)), id=each.id) for each in summaries])
        if summaries:
            shown.highlighted = min(chosen, len(summaries) - 1)
        if words:
            self._say(f"{len(summaries)} found")
        elif not summaries:
            self._say("There is no conversation yet.")

    def _look(self, words: str) -> tuple[list[Summary], dict[str, Hit]]:
        summaries = self._library.summaries()
        if not words.strip():
            return summaries, {}
        hits = {hit.id: hit for hit in self._library.search(words)}
        return [each for each in summaries if each.id in hits], hits

    def _row(self, summary: Summary, hit: Hit | None) -> Content:
        mark = "▸ " if summary.id == self._current.id else "  "
        turns = f"{summary.turns} turn{'s' if summary.turns != 1 else ''}"
        parts: list[str | tuple[str, str]] = [
            mark,
            sanitize_line(summary.title),
            (f"\n  {day(summary.updated_at)} · {turns} · {sanitize_line(summary.model)}", "$foreground 60%"),
        ]
        if hit and hit.where != "title":
            parts.append((f"\n  {hit.where}: {sanitize_line(hit.excerpt)}", "$secondary"))
        return Content.assemble(*parts)

    def action_move(self, step: int) -> None:
        """Choose another one."""
        shown = self.query_one(OptionList)
        if shown.option_count:
            at = (shown.highlighted or 0) + step
            shown.highlighted = max(0, min(shown.option_count - 1, at))

    def _chosen(self) -> tuple[str, int] | None:
        shown = self.query_one(OptionList)
        at = shown.highlighted
        if at is None or (id_ := shown.get_option_at_index(at).id) is None:
            self._say("No conversation is chosen.")
            return None
        return id_, at

    def _say(self, words: str) -> None:
        self.query_one("#conversation-words", PlainStatic).show(sanitize_line(words))

    # -- actions on one ---------------------------------------------------------------------------------

    @on(Input.Submitted)
    def _go_on(self) -> None:
        if chosen := self._chosen():
            self.dismiss(chosen[0])

    @on(OptionList.OptionSelected)
    def _go_on_by_mouse(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)

    def action_delete(self) -> None:
        """Delete the chosen one; it can be restored."""
        if not (chosen := self._chosen()):
            return
        id_, at = chosen
        if id_ == self._current.id:
            self._say("This conversation is open; start a new one first (Ctrl+N).")
            return
        try:
            self._library.delete(id_)
        except MagistralError as error:
            self._say(str(error))
        else:
            self._show(chosen=at)
            self._say("Deleted. Ctrl+Z restores it.")

    def action_restore(self) -> None:
        """Restore the last deleted one."""
        deleted = self._library.deleted()
        if not deleted:
            self._say("There is no deleted conversation.")
            return
        try:
            self._library.restore(deleted[0])
        except MagistralError as error:
            self._say(str(error))
        else:
            self._show()
            self._say("Restored.")

    def action_rename(self) -> None:
        """Name the chosen one."""
        if not (chosen := self._chosen()):
            return
        id_, at = chosen

        def take(title: str | None) -> None:
            if title is None:
                return
            try:
                self._rename(id_, title)
            except MagistralError as error:
                self._say(str(error))
            else:
                self._show(chosen=at)

        words = "Leave empty to use the first question · Esc cancels"
        title = next((each.title for each in self._library.summaries() if each.id == id_), "")
        self.app.push_screen(OneLineScreen("Title", words, value=title), take)  # pyright: ignore[reportUnknownMemberType] - Textual leaves the app's type open

    def _rename(self, id_: str, title: str) -> None:
        if id_ == self._current.id:
            self._current.rename(title)
        else:
            self._library.rename(id_, title)

    def action_export(self) -> None:
        """Save the chosen one to a file in the current folder."""
        if not (chosen := self._chosen()):
            return

        def take(choice: ExportChoice | None) -> None:
            if choice is None:
                return
            try:
                tree = self._library.read(chosen[0])
                path = export_freely(tree, choice.form, Path.cwd(), reasoning=choice.reasoning)
            except MagistralError as error:
                self._say(str(error))
            else:
                self._say(f"Saved to {path}.")

        self.app.push_screen(ExportScreen(Path.cwd()), take)  # pyright: ignore[reportUnknownMemberType] - Textual leaves the app's type open
