"""The commands of the chat screen: the verbs of the conversation, and those that need widgets."""

from collections.abc import Awaitable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from textual.app import App

from magistral_mlx_tui.attachments.clipboard import copy_text
from magistral_mlx_tui.attachments.thumbnail import ImageMode
from magistral_mlx_tui.conversation.controller import Controller
from magistral_mlx_tui.conversation.exporting import code_blocks, formulas
from magistral_mlx_tui.conversation.state import Phase
from magistral_mlx_tui.conversation.turns import Question
from magistral_mlx_tui.conversation.verbs import Verb, Verbs, obey
from magistral_mlx_tui.panes.pane_pair import Fold, PanePair
from magistral_mlx_tui.screens.attached import AttachedScreen
from magistral_mlx_tui.screens.conversations import ConversationsScreen
from magistral_mlx_tui.screens.export import ExportChoice, ExportScreen
from magistral_mlx_tui.screens.help import HelpScreen
from magistral_mlx_tui.screens.image_path import ImagePathScreen
from magistral_mlx_tui.screens.one_line import OneLineScreen
from magistral_mlx_tui.themes import THEMES, next_theme

NAME_WORDS = "Leave empty to use the first question · Esc cancels"


class Chat(Protocol):
    """The chat screen, as its commands use it."""

    controller: Controller
    verbs: Verbs
    image_mode: ImageMode

    @property
    def host(self) -> App[None]:
        """The app."""
        ...

    @property
    def pair(self) -> PanePair:
        """Reasoning and answer."""
        ...

    def say(self, message: str) -> None:
        """Show `message` in the status line."""

    def show(self, work: Awaitable[str | None]) -> None:
        """Do `work` in the background, then show the line it returns."""

    def redraw(self) -> None:
        """Draw a frame soon."""

    def attach(self, typed: str) -> None:
        """Attach the image at a typed path."""

    def edit(self, question: Question) -> None:
        """Put `question` into the prompt, to be asked in place of the last one."""

    def cancel_editing(self) -> bool:
        """Leave the last question as it is; returns whether it was being edited."""
        ...

    def focus_prompt(self) -> None:
        """Put the cursor into the prompt."""


class ChatCommands:
    """Does what keys, typed commands and the palette ask for.

    Args:
        screen: the chat.
    """

    def __init__(self, screen: Chat) -> None:
        self._screen = screen
        self._verbs = screen.verbs
        self._controller = screen.controller

    async def obey(self, name: str, argument: str = "") -> None:
        """Do the command called `name`, and show what it says."""
        said = await obey(self.table[name], argument)
        if said is not None:
            self._screen.say(said)

    @property
    def table(self) -> Mapping[str, Verb]:
        """All commands by their names in `command_table`."""
        return {**self._verbs.table, **self._with_dialogs, **self._of_the_view}

    @property
    def _with_dialogs(self) -> Mapping[str, Verb]:
        return {
            "stop": lambda _: self._stop(),
            "restart": lambda _: self._restart(),
            "pause": self._pause,
            "edit": self._edit,
            "image": self._image,
            "paste_image": lambda _: self._screen.show(self._verbs.tray.paste()),
            "images": lambda _: self._images(),
            "sessions": self._sessions,
            "title": self._title,
            "export": self._export,
            "copy": lambda _: self._copy([answer] if (answer := self._answer) else [], "answer", ""),
            "copy_code": lambda number: self._copy(code_blocks(self._answer), "code block", number),
            "copy_latex": lambda number: self._copy(formulas(self._answer), "formula", number),
        }

    @property
    def _of_the_view(self) -> Mapping[str, Verb]:
        pair, app = self._screen.pair, self._screen.host
        return {
            "reasoning": self._reasoning,
            "layout": lambda _: pair.toggle_layout(),
            "zoom": lambda _: pair.zoom(),
            "source": lambda _: "Raw text · F5 rendered" if pair.toggle_source() else "",
            "find": lambda words: pair.find(words) if words else pair.open_find(),
            "find_next": lambda _: pair.step(1),
            "find_previous": lambda _: pair.step(-1),
            "page_up": lambda _: pair.page(-1),
            "page_down": lambda _: pair.page(1),
            "follow": lambda _: pair.follow(),
            "theme": self._theme,
            "models": lambda _: self._of_the_app("models"),
            "settings": lambda _: self._of_the_app("settings"),
            "help": lambda _: self._help(),
            "quit": lambda _: app.action_quit(),
        }

    async def _of_the_app(self, action: str) -> None:
        await self._screen.host.run_action(f"app.{action}")

    def _help(self) -> None:
        self._screen.host.push_screen(HelpScreen())

    # -- the running answer ------------------------------------------------------------------------------

    def _stop(self) -> str | None:
        """Close what is open: a failure, an edit; else stop the answer."""
        if self._controller.failure and not self._controller.failure.engine_lost:
            self._controller.dismiss_failure()
            return None
        if self._screen.cancel_editing():
            return ""
        running = self._controller.phase.busy
        said = self._verbs.stop()
        self._screen.focus_prompt()
        return said if running else None

    def _restart(self) -> str:
        self._screen.focus_prompt()
        return self._verbs.restart()

    def _pause(self, hint: str) -> str | None:
        if hint:
            return self._verbs.pause(hint)
        if self._controller.phase is not Phase.PAUSED and not self._controller.pause():
            return "Nothing is running."

        def take(hint: str | None) -> None:
            paused = "Paused. F11 resumes, Esc stops."
            self._screen.say(paused if hint is None else self._verbs.resume_answer(hint))

        words = "Enter resumes, with the hint added to the reasoning · Esc stays paused"
        self._screen.host.push_screen(OneLineScreen("Paused – add a hint (optional)", words), take)
        return None

    # -- questions ---------------------------------------------------------------------------------------

    def _edit(self, text: str) -> str | None:
        turn = self._controller.turn
        if turn is None:
            return "There is no question to edit."
        self._screen.edit(replace(turn.question, text=text or turn.question.text))
        return None

    def _image(self, typed: str) -> str | None:
        if typed:
            self._screen.attach(typed)
            return None

        def take(typed: str | None) -> None:
            if typed and typed.strip():
                self._screen.attach(typed)

        self._screen.host.push_screen(ImagePathScreen(self._screen.image_mode), take)
        return None

    def _images(self) -> str | None:
        tray = self._verbs.tray
        if not tray.images:
            return "No image is attached; Ctrl+O attaches one."
        screen = AttachedScreen(tray.images, cost=tray.cost, mode=self._screen.image_mode)
        self._screen.host.push_screen(screen, lambda _: self._screen.redraw())
        return None

    # -- conversations -----------------------------------------------------------------------------------

    def _sessions(self, words: str) -> None:
        recorder = self._controller.recorder
        recorder.session.flush()

        def take(id: str | None) -> None:  # noqa: A002 - the word of the format
            if id is not None:
                self._screen.show(obey(lambda _: self._verbs.open(id)))

        screen = ConversationsScreen(recorder.library, current=recorder.session, words=words)
        self._screen.host.push_screen(screen, take)

    def _title(self, title: str) -> str | None:
        if title or not self._verbs.kept:
            return self._verbs.title(title)

        def take(typed: str | None) -> None:
            if typed is not None:
                self._screen.say(self._verbs.rename(typed))

        dialog = OneLineScreen("Title", NAME_WORDS, value=self._verbs.name)
        self._screen.host.push_screen(dialog, take)
        return None

    def _export(self, typed: str) -> str | None:
        if typed or not self._verbs.kept:
            return self._verbs.export(typed)
        folder = Path.cwd()

        def take(choice: ExportChoice | None) -> None:
            if choice is not None:
                form, reasoning = choice.form, choice.reasoning
                self._screen.show(obey(lambda _: self._verbs.export_as(form, folder, reasoning=reasoning)))

        self._screen.host.push_screen(ExportScreen(folder), take)
        return None

    # -- the view ----------------------------------------------------------------------------------------

    def _reasoning(self, word: str) -> str | None:
        if not word:
            self._screen.pair.toggle_reasoning()
        elif word in set(Fold):
            self._screen.pair.set_fold(Fold(word))
        else:
            return f"Type /reasoning {', '.join(Fold)}."
        return None

    def _theme(self, name: str) -> str | None:
        if name and name not in THEMES:
            return f"There is no theme {name}; choose {', '.join(THEMES)}."
        app = self._screen.host
        app.theme = THEMES[name] if name else next_theme(app.theme)
        return None

    # -- copying -----------------------------------------------------------------------------------------

    @property
    def _answer(self) -> str:
        turn = self._controller.turn
        return "".join(turn.answer) if turn else ""

    def _copy(self, parts: list[str], kind: str, number: str) -> str:
        if not parts:
            return f"There is no {kind} to copy yet."
        chosen = int(number) if number.isdecimal() else len(parts)
        if not 1 <= chosen <= len(parts):
            choices = "1" if len(parts) == 1 else f"1 {'or' if len(parts) == 2 else 'to'} {len(parts)}"
            return f"Choose {choices}."
        which = f"{kind.capitalize()} {chosen} of {len(parts)}: " if len(parts) > 1 else ""
        return which + copy_text(self._screen.host, parts[chosen - 1])
