"""The main screen: composes the parts, draws what the controller knows, obeys the commands."""

from pathlib import Path
from typing import ClassVar, cast

from textual import events, on
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.screen import Screen
from textual.widgets import Footer

from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.sessions.records import Options
from magistral_mlx_tui.arranging import new_conversation
from magistral_mlx_tui.clipboard import copy_text
from magistral_mlx_tui.commands import bindings, parse_slash
from magistral_mlx_tui.controller import Controller, Phase
from magistral_mlx_tui.frame_clock import FrameClock
from magistral_mlx_tui.panes.feeds import Feed, answer_words, thought_words
from magistral_mlx_tui.panes.stream_pane import StreamPane
from magistral_mlx_tui.picture_desk import PictureDesk
from magistral_mlx_tui.screens.attached import AttachedScreen
from magistral_mlx_tui.screens.help import HelpScreen
from magistral_mlx_tui.screens.picture_path import PicturePathScreen
from magistral_mlx_tui.text.figures import format_tokens
from magistral_mlx_tui.text.paths import dropped_files, find_file
from magistral_mlx_tui.themes import THEMES, next_theme
from magistral_mlx_tui.thumbnail import PictureMode
from magistral_mlx_tui.turns import Question
from magistral_mlx_tui.widgets.attachments import Attachments
from magistral_mlx_tui.widgets.gauges import Gauges
from magistral_mlx_tui.widgets.header import Header
from magistral_mlx_tui.widgets.notes import FailurePanel, MiniatureNote, StatusLine
from magistral_mlx_tui.widgets.prompt import Prompt
from magistral_mlx_tui.widgets.welcome import Welcome

NARROW, WIDE = 80, 120
"""Columns: below the first one pane is shown at a time, from the second on both stand side by side."""


class ChatScreen(Screen[None]):
    """Header, note, panes or welcome, attachments, status, prompt, gauges, footer."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings()]

    def __init__(self, controller: Controller, *, picture_mode: PictureMode = PictureMode.HALF) -> None:
        super().__init__()
        self.controller = controller
        self.options = Options()
        """How the next questions are asked."""
        self._picture_mode = picture_mode
        self.desk = PictureDesk(controller, self.say)
        self._message = ""
        self._clock = FrameClock(self._draw, self.set_timer)
        self._switched_by_hand = False
        self._arrangement = 0

    def compose(self) -> ComposeResult:
        """All parts from top to bottom."""
        yield Header(id="header")
        yield MiniatureNote(id="miniature-note")
        yield Welcome(id="welcome")
        with Container(id="panes"):
            yield StreamPane(title="Reasoning", id="reasoning")
            yield StreamPane(title="Answer", id="answer")
        yield FailurePanel(id="failure")
        yield Attachments(id="attachments")
        yield StatusLine(id="status")
        yield Prompt(id="prompt")
        yield Gauges(id="gauges")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Connect the panes and begin to listen."""
        self._reasoning = self.query_one("#reasoning", StreamPane)
        self._answer = self.query_one("#answer", StreamPane)
        self._feeds = (
            Feed(self._reasoning, pieces=lambda turn: turn.reasoning, last_words=thought_words),
            Feed(self._answer, pieces=lambda turn: turn.answer, last_words=answer_words),
        )
        self.prompt.focus()
        self.controller.on_change = self._clock.request
        self._draw()

    @property
    def _host(self) -> App[None]:
        return cast("App[None]", self.app)  # pyright: ignore[reportUnknownMemberType] - Textual leaves it open

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
        self.query_one(Attachments).show_pictures(
            self.desk.pictures, controller.model, reading_speed=self.desk.reading_speed
        )
        self.query_one(StatusLine).show_state(controller, self._message)
        self.query_one(Gauges).show(controller)
        self.set_class(bool(turns), "-talking")
        if controller.arrangement != self._arrangement:
            self._arrangement = controller.arrangement
            for feed in self._feeds:
                feed.clear()
        if turns:
            self._draw_turns()
        else:
            self.query_one(Welcome).show_state(controller)

    def _draw_failure(self) -> None:
        panel, failure = self.query_one(FailurePanel), self.controller.failure
        appears = failure is not None and not panel.display
        panel.show_failure(failure)
        if appears and not self.prompt.text:  # its keys must not swallow what is being typed
            self.call_after_refresh(panel.focus)

    def _draw_turns(self) -> None:
        turn, phase = self.controller.turns[-1], self.controller.phase
        for feed in self._feeds:
            feed.sync(self.controller.turns)
        self._reasoning.set_live(turn.running and phase in (Phase.READING, Phase.THINKING))
        self._answer.set_live(turn.running and phase is Phase.ANSWERING)
        for pane, count in ((self._reasoning, turn.reasoning_tokens), (self._answer, turn.answer_tokens)):
            pane.set_status(format_tokens(count) if count else "")
        if not self._switched_by_hand:
            self.set_class(phase in (Phase.READING, Phase.THINKING), "-show-reasoning")

    def say(self, message: str) -> None:
        """Show `message` in the status line until something else happens."""
        self._message = sanitize_line(message)
        self._clock.request()

    def on_resize(self, _event: events.Resize) -> None:
        """Rows that are laid out by hand depend on the width."""
        self._clock.request()

    # -- asking ------------------------------------------------------------------------------------------

    @on(Prompt.Sent)
    def _send(self, event: Prompt.Sent) -> None:
        text = event.text.strip()
        if slash := parse_slash(text):
            command, argument, name = slash
            if command is None:
                self.say(f"There is no command /{name}; F1 lists them all.")
                return
            self.prompt.clear()
            self._obey(command.name, argument)
        elif files := dropped_files(text):
            self.prompt.clear()
            self._attach_all(files)
        elif text:
            self.prompt.clear()
            self._ask(Question(text, self.desk.take(), self.options))

    def _ask(self, question: Question) -> None:
        self._switched_by_hand = False
        self._message = ""
        for pane in (self._reasoning, self._answer):
            pane.follow()
        self.controller.submit(question)

    def _obey(self, name: str, argument: str) -> None:
        if name == "image" and argument:
            self.attach(argument)
        elif name == "theme" and argument:
            self._set_theme(argument)
        else:
            getattr(self, f"action_{name}")()

    @on(Prompt.RemoveRequested)
    def action_remove_image(self) -> None:
        """Take the last attached picture away."""
        self.desk.remove_last()

    @on(Prompt.Dropped)
    def _take_dropped(self, event: Prompt.Dropped) -> None:
        self._attach_all(event.files)

    def attach(self, typed: str) -> None:
        """Attach the picture that a typed path names."""
        found = find_file(typed)
        self._attach_all([found or Path(typed.strip()).expanduser()])

    def _attach_all(self, files: list[Path]) -> None:
        if refusal := self.desk.refusal():
            self.say(refusal)
        else:
            self.run_worker(self.desk.attach(files), group="attach")

    @on(Prompt.PictureWanted)
    def action_paste_image(self) -> None:
        """Attach the picture on the clipboard."""
        if refusal := self.desk.refusal():
            self.say(refusal)
        else:
            self.run_worker(self.desk.paste(), group="attach")

    def action_pictures(self) -> None:
        """Look at the attached pictures, reorder and remove them."""
        if self.desk.pictures:
            screen = AttachedScreen(self.desk.pictures, cost=self.desk.cost, mode=self._picture_mode)
            self._host.push_screen(screen, lambda _: self._clock.request())
        else:
            self.say("No picture is attached; ctrl+o adds one.")

    # -- commands ----------------------------------------------------------------------------------------

    def action_image(self) -> None:
        """Ask for the path of a picture."""

        def take(typed: str | None) -> None:
            if typed and typed.strip():
                self.attach(typed)

        self._host.push_screen(PicturePathScreen(self._picture_mode), take)

    def action_stop(self) -> None:
        """Stop the answer; questions that waited come back into the prompt."""
        if self.controller.failure and not self.controller.failure.engine_lost:
            self.controller.dismiss_failure()
            return
        waiting = self.controller.stop()
        if waiting:
            typed = [self.prompt.text] if self.prompt.text else []
            self.prompt.text = "\n".join([*(question.text for question in waiting), *typed])
            self.desk.pictures[:0] = [each for question in waiting for each in question.pictures]
        self.prompt.focus()

    def action_new(self) -> None:
        """Begin a new conversation."""
        new_conversation(self.controller)
        self.say("")

    def action_restart(self) -> None:
        """Start the engine again."""
        self.controller.restart()
        self.prompt.focus()

    def action_dismiss_failure(self) -> None:
        """The failure was read."""
        self.controller.dismiss_failure()
        self.prompt.focus()

    def action_copy(self) -> None:
        """Copy the last answer as the model wrote it."""
        turn = self.controller.turn
        if turn is None or not (text := "".join(turn.answer)):
            self.say("There is no answer to copy yet.")
            return
        self.say(copy_text(self._host, text))

    def action_reasoning(self) -> None:
        """Hide or show the reasoning; where only one pane fits, switch."""
        if self.size.width < NARROW:
            self._switched_by_hand = True
            self.toggle_class("-show-reasoning")
        else:
            self.toggle_class("-no-reasoning")

    def action_layout(self) -> None:
        """Side by side or stacked, against what the width suggests."""
        self.toggle_class("-other-layout")

    def action_page_up(self) -> None:
        """Scroll both panes back."""
        for pane in (self._reasoning, self._answer):
            pane.scroll_page_up(animate=False)

    def action_page_down(self) -> None:
        """Scroll both panes on."""
        for pane in (self._reasoning, self._answer):
            pane.scroll_page_down(animate=False)

    def action_follow(self) -> None:
        """Follow the end of both panes."""
        for pane in (self._reasoning, self._answer):
            pane.follow()

    def action_theme(self) -> None:
        """Next theme."""
        self._host.theme = next_theme(self._host.theme)

    def _set_theme(self, name: str) -> None:
        if name in THEMES:
            self._host.theme = THEMES[name]
        else:
            self.say(f"There is no theme {name}; there are {', '.join(THEMES)}.")

    async def action_models(self) -> None:
        """Choose a model, or convert one."""
        await self._host.run_action("app.models")

    async def action_settings(self) -> None:
        """Show all settings."""
        await self._host.run_action("app.settings")

    def action_help(self) -> None:
        """Show all keys and commands."""
        self._host.push_screen(HelpScreen())

    async def action_quit(self) -> None:
        """End the engine and leave."""
        await self._host.action_quit()
