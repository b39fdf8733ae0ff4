"""The main screen: composes the parts, draws the controller's state, takes questions and commands."""

from collections.abc import Awaitable, Sequence
from typing import ClassVar, cast

from textual import events, on
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Footer

from magistral_mlx.sanitize import sanitize_line
from magistral_mlx_tui.attachments.clipboard import copy_text
from magistral_mlx_tui.attachments.thumbnail import ImageMode
from magistral_mlx_tui.command_table import bindings, no_such_command, parse_slash
from magistral_mlx_tui.conversation.controller import Controller
from magistral_mlx_tui.conversation.turns import Question
from magistral_mlx_tui.conversation.verbs import Verbs, obey
from magistral_mlx_tui.panes.find_bar import FindBar
from magistral_mlx_tui.panes.pane_pair import Fold, PanePair
from magistral_mlx_tui.screens.chat_commands import ChatCommands
from magistral_mlx_tui.terminal.frame_clock import FrameClock
from magistral_mlx_tui.text.paths import dropped_files
from magistral_mlx_tui.widgets.attachments import Attachments
from magistral_mlx_tui.widgets.gauges import Gauges
from magistral_mlx_tui.widgets.header import Header
from magistral_mlx_tui.widgets.notes import FailurePanel, MiniatureNote, StatusLine
from magistral_mlx_tui.widgets.prompt import Prompt
from magistral_mlx_tui.widgets.welcome import Welcome

NARROW, WIDE = 80, 120
"""Columns: below the first one pane is shown at a time, from the second on both stand side by side."""
_FIGURES_SECONDS = 0.4
"""Between two drawings of the figures while text streams: nobody reads faster, and they cost no less."""


class ChatScreen(Screen[None]):
    """Header, note, panes or welcome, attachments, status, prompt, gauges, footer.

    Args:
        controller: the conversation.
        image_mode: how previews are drawn.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings()]

    def __init__(self, controller: Controller, *, image_mode: ImageMode = ImageMode.HALF) -> None:
        super().__init__()
        self.controller = controller
        self.verbs = Verbs(controller, put_back=self.put_back)
        self.image_mode = image_mode
        self._commands = ChatCommands(self)
        self._message = ""
        self._clock = FrameClock(self._draw, self.set_timer)
        self._figures = FrameClock(self.draw_figures, self.set_timer, shortest=_FIGURES_SECONDS)
        self._arrangement = 0
        self._editing = False
        self._set_aside = ""
        self._first_fold = Fold.SHOW

    def compose(self) -> ComposeResult:
        """All parts from top to bottom."""
        yield Header(id="header")
        yield MiniatureNote(id="miniature-note")
        yield Welcome(id="welcome")
        yield PanePair(id="panes")
        yield FailurePanel(id="failure")
        yield Attachments(id="attachments")
        yield StatusLine(id="status")
        yield Prompt(id="prompt")
        yield Gauges(id="gauges")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Listen to the controller."""
        self.pair.set_fold(self._first_fold)
        self.prompt.focus()
        self.controller.on_change = self._clock.request
        self._draw()

    @property
    def host(self) -> App[None]:
        """The app, as Textual does not type it."""
        return cast("App[None]", self.app)  # pyright: ignore[reportUnknownMemberType] - Textual leaves it open

    @property
    def prompt(self) -> Prompt:
        """The field for questions."""
        return self.query_one("#prompt", Prompt)

    @property
    def pair(self) -> PanePair:
        """Reasoning and answer."""
        return self.query_one(PanePair)

    def show_reasoning(self, shown: bool) -> None:
        """Show or hide the reasoning, now or on start."""
        self._first_fold = Fold.SHOW if shown else Fold.HIDE
        if self.is_mounted:
            self.pair.set_fold(self._first_fold)

    # -- drawing -----------------------------------------------------------------------------------------

    def _draw(self) -> None:
        """One frame: everything that changed since the last one."""
        if not self.is_attached:
            return
        controller, turns = self.controller, self.controller.turns
        self.query_one(Header).show_state(controller.phase, controller.model, stopping=controller.stopping)
        note = self.query_one(MiniatureNote)
        note.display = bool(controller.model and controller.model.is_miniature)
        note.show_note(self.size.width - 2)
        self._draw_failure()
        self.query_one(Attachments).show_images(
            self.verbs.tray.images, controller.model, reading_speed=self.verbs.tray.reading_speed
        )
        self.query_one(StatusLine).show_state(controller, self._message, self.verbs.options)
        self.set_class(bool(turns), "-talking")
        if controller.arrangement != self._arrangement:
            self._arrangement = controller.arrangement
            self.pair.clear()
        if turns:
            if self.pair.sync(turns, controller.phase):
                self._clock.request()
        else:
            self.query_one(Welcome).show_state(controller)
        if turns and turns[-1].running:
            self._figures.request()
        else:
            self.draw_figures()

    def draw_figures(self) -> None:
        """Gauges and counts; while text streams they follow it at some distance."""
        if not self.is_attached:
            return
        self.query_one(Gauges).show(self.controller)
        if self.controller.turns:
            self.pair.show_counts(self.controller.turns[-1])

    def _draw_failure(self) -> None:
        panel, failure = self.query_one(FailurePanel), self.controller.failure
        appears = failure is not None and not panel.display
        panel.show_failure(failure)
        if appears and not self.prompt.text:  # its keys must not swallow what is being typed
            self.call_after_refresh(panel.focus)

    def redraw(self) -> None:
        """Draw a frame soon."""
        self._clock.request()

    @on(FindBar.Closed)
    def focus_prompt(self) -> None:
        """Put the cursor into the prompt."""
        self.prompt.focus()

    def say(self, message: str) -> None:
        """Show `message` in the status line until something else happens."""
        self._message = sanitize_line(message)
        self._clock.request()

    def show(self, work: Awaitable[str | None]) -> None:
        """Do `work` in the background, then show the line it returns."""

        async def wait() -> None:
            said = await work
            if said is not None:
                self.say(said)

        self.run_worker(wait(), group="verbs")

    def on_resize(self, _event: events.Resize) -> None:
        """Rows that are laid out by hand depend on the width."""
        self._clock.request()

    # -- asking ------------------------------------------------------------------------------------------

    @on(Prompt.Sent)
    async def _send(self, event: Prompt.Sent) -> None:
        text = event.text.strip()
        if slash := parse_slash(text):
            command, argument, name = slash
            if command is None:
                self.say(no_such_command(name, otherwise="F1 lists them all."))
                return
            self.prompt.clear()
            await self._commands.obey(command.name, argument if command.argument else "")
        elif files := dropped_files(text):
            self.prompt.clear()
            self.show(self.verbs.tray.attach(files))
        elif text:
            self.prompt.clear()
            self._ask(self.verbs.question(text))

    async def action_obey(self, name: str) -> None:
        """Do the command called `name`."""
        await self._commands.obey(name)

    def _ask(self, question: Question) -> None:
        self._message = ""
        self.pair.begin_question()
        if self._editing:
            self._end_editing()
            self.verbs.edit_last(question)
        else:
            self.controller.submit(question)

    def put_back(self, questions: Sequence[Question]) -> None:
        """Put `questions` into the prompt, before its text."""
        if questions:
            typed = [self.prompt.text] if self.prompt.text else []
            self.prompt.text = "\n".join([*(question.text for question in questions), *typed])
            self.verbs.tray.images[:0] = [each for question in questions for each in question.images]

    def edit(self, question: Question) -> None:
        """Put `question` into the prompt, to be asked in place of the last one."""
        if not self._editing:
            self._editing, self._set_aside = True, self.prompt.text
        self.prompt.text = question.text
        self.prompt.move_cursor(self.prompt.document.end)
        self.verbs.tray.images[:] = question.images
        self.verbs.options = question.options
        self.prompt.focus()
        self.say("Editing the last question: Enter resends · Esc cancels")

    def cancel_editing(self) -> bool:
        """Leave the last question as it is; returns whether it was being edited."""
        editing = self._editing
        if editing:
            self._end_editing()
            self.verbs.tray.images.clear()
        return editing

    def _end_editing(self) -> None:
        self._editing = False
        self.prompt.text, self._set_aside = self._set_aside, ""

    def bring_back(self, name: str | None) -> None:
        """Open the conversation called `name`; None: restore an unsent question, if there is one."""
        if name is None:
            self.say(self.verbs.restore(self.controller.recorder.orphaned_draft()) or self._message)
        else:
            self.show(obey(self.verbs.resume, name))

    @on(Prompt.Changed)
    def _keep_draft(self) -> None:
        self.controller.recorder.keep_draft(self.prompt.text, self.verbs.tray.images)

    # -- images ------------------------------------------------------------------------------------------

    def attach(self, typed: str) -> None:
        """Attach the image at a typed path."""
        self.show(obey(self.verbs.image, typed))

    @on(Prompt.RemoveRequested)
    async def _remove_image(self) -> None:
        if self.verbs.tray.images:
            await self._commands.obey("remove_image")

    @on(Prompt.Dropped)
    def _take_dropped(self, event: Prompt.Dropped) -> None:
        self.show(self.verbs.tray.attach(event.files))

    @on(Prompt.ImageWanted)
    async def _paste_image(self) -> None:
        await self._commands.obey("paste_image")

    # -- failures ----------------------------------------------------------------------------------------

    def action_dismiss_failure(self) -> None:
        """Hide the failure."""
        self.controller.dismiss_failure()
        self.prompt.focus()

    def action_copy_failure(self) -> None:
        """Copy the failure, its remedy and the log's path."""
        if failure := self.controller.failure:
            parts = (failure.problem, failure.remedy, failure.log and f"Log: {failure.log}")
            self.say(copy_text(self.host, "\n".join(part for part in parts if part)))
