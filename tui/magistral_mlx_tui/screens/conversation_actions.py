"""What the chat screen can do with a conversation: steer the running answer, change, find, keep, copy."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

from textual.app import App
from textual.screen import Screen

from magistral_mlx.errors import MagistralError
from magistral_mlx.sessions.library import title_of
from magistral_mlx.sessions.records import Options
from magistral_mlx.sessions.unsent import Draft
from magistral_mlx_tui.attachments.clipboard import copy_text
from magistral_mlx_tui.attachments.images import images_of
from magistral_mlx_tui.conversation.branching import (
    ask_again,
    new_conversation,
    open_conversation,
    switch_branch,
)
from magistral_mlx_tui.conversation.controller import Controller
from magistral_mlx_tui.conversation.exporting import code_blocks, export_as_typed, export_freely, formulas
from magistral_mlx_tui.conversation.state import Phase
from magistral_mlx_tui.conversation.thinking import parse_thinking, thinking_words
from magistral_mlx_tui.conversation.turns import Question
from magistral_mlx_tui.screens.conversations import ConversationsScreen
from magistral_mlx_tui.screens.export import ExportChoice, ExportScreen
from magistral_mlx_tui.screens.one_line import OneLineScreen


class ConversationActions(Screen[None]):
    """The actions of the commands in the groups "Steering" and "Conversation"."""

    controller: Controller
    options: Options
    """How the next questions are asked."""

    @abstractmethod
    def say(self, message: str) -> None:
        """Show `message` in the status line."""

    @abstractmethod
    def put_back(self, questions: list[Question]) -> None:
        """Put `questions` into the prompt, before what stands there."""

    @abstractmethod
    def edit(self, question: Question) -> None:
        """Let people change `question` and ask it in the place of the last one."""

    @property
    def host(self) -> App[None]:
        """The app, as Textual does not type it."""
        return cast("App[None]", self.app)  # pyright: ignore[reportUnknownMemberType] - Textual leaves it open

    # -- steering ----------------------------------------------------------------------------------------

    def action_answer_now(self) -> None:
        """End the thought and have the answer; with nothing running, go on with a reply that was cut off."""
        if self.controller.answer_now():
            self.say("The thought is being closed; the answer follows.")
        else:
            self.say("" if self.controller.go_on() else "It is not thinking, and nothing was cut off.")

    def action_pause(self, hint: str = "") -> None:
        """Pause, or go on with a hint."""
        if self.controller.phase is Phase.PAUSED:
            if hint:
                self._resume(hint)
            else:
                self._ask_for_hint()
        elif not self.controller.pause():
            self.say("Nothing is running.")
        elif hint:
            self._resume(hint)
        else:
            self._ask_for_hint()

    def _ask_for_hint(self) -> None:
        words = "enter goes on, with this hint written into the thought · esc stays paused · F11 asks again"
        self.host.push_screen(OneLineScreen("Paused: a hint?", words), self._take_hint)

    def _take_hint(self, hint: str | None) -> None:
        if hint is None:
            self.say("Paused. F11 goes on, esc stops.")
        else:
            self._resume(hint)

    def _resume(self, hint: str) -> None:
        hint = f"\n{hint.strip()}\n" if hint.strip() else ""
        self.say("" if self.controller.resume(hint) else "It is not paused any more.")

    def action_continue(self) -> None:
        """Go on with the last reply."""
        if self.controller.go_on():
            self.say("")
        else:
            self.say("There is nothing to go on with: the last reply ended by itself. /again asks once more.")

    def action_thinking(self, wish: str = "") -> None:
        """Switch thinking off and on, or limit it, for the next questions."""
        options = parse_thinking(wish, self.options)
        if options is None:
            self.say("Type /thinking on, /thinking off, or /thinking 500 for at most 500 tokens.")
        else:
            self.options = options
            self.say(thinking_words(options))

    # -- changing ----------------------------------------------------------------------------------------

    def action_again(self) -> None:
        """Ask the last question once more."""
        self.put_back(self.controller.withdraw())
        self.say("" if ask_again(self.controller) else "There is no question to ask again.")

    def action_edit(self, text: str = "") -> None:
        """Change the last question, or take `text` in its place, and ask it again."""
        turn = self.controller.turn
        if turn is None:
            self.say("There is no question to change.")
        else:
            self.edit(replace(turn.question, text=text or turn.question.text))

    def action_branch(self) -> None:
        """Show the next one of what was asked in the same place."""
        try:
            switched = switch_branch(self.controller)
        except MagistralError as error:
            self.say(str(error))
        else:
            self.say(
                ""
                if switched
                else "Nothing else was asked here; F2 changes the last question, /again repeats it."
            )

    # -- finding and keeping -----------------------------------------------------------------------------

    def action_new(self) -> None:
        """Begin a new conversation."""
        self.put_back(self.controller.withdraw())
        new_conversation(self.controller)
        self.say("")

    def action_sessions(self, words: str = "") -> None:
        """Show all conversations, to search and to go on with one."""
        keeper = self.controller.keeper
        keeper.session.flush()
        screen = ConversationsScreen(keeper.library, current=keeper.session, words=words)
        self.host.push_screen(screen, self.open)

    def action_resume(self, name: str = "") -> None:
        """Go on with the conversation called `name`, or the last one."""
        self.bring_back(name or "last")

    def bring_back(self, name: str | None) -> None:
        """Go on with the conversation called `name`; None: with what was typed and not sent, if anything."""
        keeper = self.controller.keeper
        if name is None:
            self._show_draft(keeper.orphaned_draft())
            return
        try:
            self.open(keeper.library.find(name))
        except MagistralError as error:
            self.say(str(error))

    def open(self, id: str | None) -> None:  # noqa: A002 - the word of the format
        """Go on with the conversation called `id`; None: stay."""
        if id is None:
            return
        self.put_back(self.controller.withdraw())
        try:
            open_conversation(self.controller, id)
        except MagistralError as error:
            self.say(str(error))
        else:
            self.say("")
            self._show_draft(self.controller.keeper.draft_of(id))

    def _show_draft(self, draft: Draft) -> None:
        images = tuple(images_of(draft))
        if draft.text or images:
            self.put_back([Question(draft.text, images)])
            self.say("What you had typed is back.")

    def action_title(self, title: str = "") -> None:
        """Name the conversation."""
        session = self.controller.keeper.session

        def take(typed: str | None) -> None:
            if typed is not None:
                session.rename(typed)
                self.say(f"This conversation is called “{title_of(session.tree)}”.")

        if not session.tree.turns:
            self.say("There is no conversation yet.")
        elif title:
            take(title)
        else:
            words = "an empty title: the first question is its name · esc changes nothing"
            self.host.push_screen(OneLineScreen("Title", words, value=title_of(session.tree)), take)

    def action_export(self, file: str = "") -> None:
        """Write the conversation as typed, or ask for the format; the ending of a name chooses it too."""
        session = self.controller.keeper.session
        if not session.tree.turns:
            self.say("There is nothing to export yet.")
            return
        session.flush()
        if file:
            self._export(lambda: export_as_typed(session.tree, file))
            return

        def take(choice: ExportChoice | None) -> None:
            if choice is not None:
                folder, reasoning = Path.cwd(), choice.reasoning
                self._export(lambda: export_freely(session.tree, choice.form, folder, reasoning=reasoning))

        self.host.push_screen(ExportScreen(Path.cwd()), take)

    def _export(self, write: Callable[[], Path]) -> None:
        try:
            self.say(f"Written to {write()}.")
        except MagistralError as error:
            self.say(str(error))

    # -- copying -----------------------------------------------------------------------------------------

    def action_copy(self) -> None:
        """Copy the last answer as the model wrote it."""
        self._copy([answer] if (answer := self._last_answer()) else [], "answer", "")

    def action_copy_code(self, number: str = "") -> None:
        """Copy a code block of the last answer."""
        self._copy(code_blocks(self._last_answer()), "code block", number)

    def action_copy_latex(self, number: str = "") -> None:
        """Copy the source of a formula of the last answer."""
        self._copy(formulas(self._last_answer()), "formula", number)

    def _last_answer(self) -> str:
        turn = self.controller.turn
        return "".join(turn.answer) if turn else ""

    def _copy(self, parts: list[str], kind: str, number: str) -> None:
        if not parts:
            self.say(f"There is no {kind} to copy yet.")
            return
        chosen = int(number) if number.isdecimal() else len(parts)
        if not 1 <= chosen <= len(parts):
            self.say(f"There are {len(parts)}: number 1 to {len(parts)}.")
            return
        which = f"{kind.capitalize()} {chosen} of {len(parts)}: " if len(parts) > 1 else ""
        self.say(which + copy_text(self.host, parts[chosen - 1]))
