"""The main screen: composes the parts, draws what the controller knows, obeys the commands."""

from inspect import isawaitable
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Footer

from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.sessions.records import Options
from magistral_mlx.storage.paths import typed_path
from magistral_mlx_tui.attachments.clipboard import copy_text
from magistral_mlx_tui.attachments.thumbnail import ImageMode
from magistral_mlx_tui.command_table import Command, bindings, no_such_command, parse_slash
from magistral_mlx_tui.conversation.attachment_tray import AttachmentTray
from magistral_mlx_tui.conversation.branching import edit_last
from magistral_mlx_tui.conversation.controller import Controller
from magistral_mlx_tui.conversation.turns import Question
from magistral_mlx_tui.panes.pane_pair import PanePair
from magistral_mlx_tui.screens.attached import AttachedScreen
from magistral_mlx_tui.screens.conversation_actions import ConversationActions
from magistral_mlx_tui.screens.help import HelpScreen
from magistral_mlx_tui.screens.image_path import ImagePathScreen
from magistral_mlx_tui.screens.looking import LookingScreen
from magistral_mlx_tui.terminal.frame_clock import FrameClock
from magistral_mlx_tui.text.paths import dropped_files, find_file
from magistral_mlx_tui.themes import THEMES, next_theme
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


class ChatScreen(ConversationActions, LookingScreen):
    """Header, note, panes or welcome, attachments, status, prompt, gauges, footer."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings()]

    def __init__(self, controller: Controller, *, image_mode: ImageMode = ImageMode.HALF) -> None:
        super().__init__()
        self.controller = controller
        self.options = Options()
        """How the next questions are asked."""
        self._image_mode = image_mode
        self.desk = AttachmentTray(controller, self.say)
        self._message = ""
        self._clock = FrameClock(self._draw, self.set_timer)
        self._figures = FrameClock(self.draw_figures, self.set_timer, shortest=_FIGURES_SECONDS)
        self._arrangement = 0
        self._editing = False
        self._set_aside = ""

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
        """Begin to listen."""
        self.prompt.focus()
        self.controller.on_change = self._clock.request
        self._draw()

    @property
    def prompt(self) -> Prompt:
        """Where questions are typed."""
        return self.query_one("#prompt", Prompt)

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
            self.desk.images, controller.model, reading_speed=self.desk.reading_speed
        )
        self.query_one(StatusLine).show_state(controller, self._message, self.options)
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

    def focus_prompt(self) -> None:
        """Go on typing."""
        self.prompt.focus()

    def say(self, message: str) -> None:
        """Show `message` in the status line until something else happens."""
        self._message = sanitize_line(message)
        self._clock.request()

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
            await self._obey(command, argument)
        elif files := dropped_files(text):
            self.prompt.clear()
            self._attach_all(files)
        elif text:
            self.prompt.clear()
            self._ask(Question(text, self.desk.take(), self.options))

    def _ask(self, question: Question) -> None:
        self._message = ""
        self.pair.begin_question()
        if self._editing:
            self._end_editing()
            self.put_back(self.controller.withdraw())
            edit_last(self.controller, question)
        else:
            self.controller.submit(question)

    async def _obey(self, command: Command, argument: str) -> None:
        action = getattr(self, f"action_{command.name}")
        if command.name == "reasoning" and argument:
            self.fold_reasoning(argument)
        elif command.name == "find" and argument:
            self.pair.find(argument)
        else:
            done = action(argument) if argument and command.argument else action()
            if isawaitable(done):
                await done

    def put_back(self, questions: list[Question]) -> None:
        """Put `questions` into the prompt, before what stands there."""
        if questions:
            typed = [self.prompt.text] if self.prompt.text else []
            self.prompt.text = "\n".join([*(question.text for question in questions), *typed])
            self.desk.images[:0] = [each for question in questions for each in question.images]

    def edit(self, question: Question) -> None:
        """Let people change `question` and ask it in the place of the last one."""
        if not self._editing:
            self._editing, self._set_aside = True, self.prompt.text
        self.prompt.text = question.text
        self.prompt.move_cursor(self.prompt.document.end)
        self.desk.images[:] = question.images
        self.options = question.options
        self.prompt.focus()
        self.say("Editing the last question: enter asks it anew, esc leaves it as it is.")

    def _end_editing(self) -> None:
        self._editing = False
        self.prompt.text, self._set_aside = self._set_aside, ""

    @on(Prompt.Changed)
    def _keep_draft(self) -> None:
        self.controller.keeper.keep_draft(self.prompt.text, self.desk.images)

    @on(Prompt.RemoveRequested)
    def action_remove_image(self) -> None:
        """Take the last attached image away."""
        self.desk.remove_last()

    @on(Prompt.Dropped)
    def _take_dropped(self, event: Prompt.Dropped) -> None:
        self._attach_all(event.files)

    def attach(self, typed: str) -> None:
        """Attach the image that a typed path names."""
        found = find_file(typed)
        self._attach_all([found or typed_path(typed.strip())])

    def _attach_all(self, files: list[Path]) -> None:
        if refusal := self.desk.refusal():
            self.say(refusal)
        else:
            self.run_worker(self.desk.attach(files), group="attach")

    @on(Prompt.ImageWanted)
    def action_paste_image(self) -> None:
        """Attach the image on the clipboard."""
        if refusal := self.desk.refusal():
            self.say(refusal)
        else:
            self.run_worker(self.desk.paste(), group="attach")

    def action_images(self) -> None:
        """Look at the attached images, reorder and remove them."""
        if self.desk.images:
            screen = AttachedScreen(self.desk.images, cost=self.desk.cost, mode=self._image_mode)
            self.host.push_screen(screen, lambda _: self._clock.request())
        else:
            self.say("No image is attached; ctrl+o adds one.")

    # -- commands ----------------------------------------------------------------------------------------

    def action_image(self, typed: str = "") -> None:
        """Attach the image that a typed path names, or ask for the path."""
        if typed:
            self.attach(typed)
            return

        def take(typed: str | None) -> None:
            if typed and typed.strip():
                self.attach(typed)

        self.host.push_screen(ImagePathScreen(self._image_mode), take)

    def action_stop(self) -> None:
        """Stop the answer; questions that waited come back into the prompt."""
        if self.controller.failure and not self.controller.failure.engine_lost:
            self.controller.dismiss_failure()
            return
        if self._editing:
            self._end_editing()
            self.desk.images.clear()
            self.say("")
            return
        self.put_back(self.controller.stop())
        self.prompt.focus()

    def action_restart(self) -> None:
        """Start the engine again."""
        self.controller.restart()
        self.prompt.focus()

    def action_dismiss_failure(self) -> None:
        """The failure was read."""
        self.controller.dismiss_failure()
        self.prompt.focus()

    def action_copy_failure(self) -> None:
        """Copy what broke, what to do and where to read more."""
        if failure := self.controller.failure:
            parts = (failure.problem, failure.remedy, failure.log and f"More in {failure.log}")
            self.say(copy_text(self.host, "\n".join(part for part in parts if part)))

    def action_theme(self, name: str = "") -> None:
        """The theme called `name`, or the next one."""
        if not name:
            self.host.theme = next_theme(self.host.theme)
        elif name in THEMES:
            self.host.theme = THEMES[name]
        else:
            self.say(f"There is no theme {name}; there are {', '.join(THEMES)}.")

    async def action_models(self) -> None:
        """Choose a model, or convert one."""
        await self.host.run_action("app.models")

    async def action_settings(self) -> None:
        """Show all settings."""
        await self.host.run_action("app.settings")

    def action_help(self) -> None:
        """Show all keys and commands."""
        self.host.push_screen(HelpScreen())

    async def action_quit(self) -> None:
        """End the engine and leave."""
        await self.host.action_quit()
