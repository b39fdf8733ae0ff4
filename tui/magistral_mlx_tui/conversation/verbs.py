"""Act on a conversation: the one layer of verbs behind the app and plain mode. No widgets here.

Each verb acts on the controller and returns a line for people; it is empty when the result is plain to see.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
from pathlib import Path

from magistral_mlx.errors import MagistralError
from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.sessions.export.formats import Format
from magistral_mlx.sessions.library import title_of
from magistral_mlx.sessions.tree import Tree
from magistral_mlx.sessions.unsent import Draft
from magistral_mlx.storage.messages import Options
from magistral_mlx.storage.paths import typed_path
from magistral_mlx_tui.attachments.images import images_of
from magistral_mlx_tui.conversation.attachment_tray import AttachmentTray
from magistral_mlx_tui.conversation.branching import (
    ask_again,
    edit_last,
    new_conversation,
    open_conversation,
    switch_branch,
)
from magistral_mlx_tui.conversation.controller import Controller
from magistral_mlx_tui.conversation.exporting import export_as_typed, export_freely
from magistral_mlx_tui.conversation.thinking import parse_thinking, thinking_words
from magistral_mlx_tui.conversation.turns import Question
from magistral_mlx_tui.text.paths import find_file

Verb = Callable[[str], "str | Awaitable[str | None] | None"]
"""Takes the argument of a command; returns a line for people, or None to leave the last one."""


class Verbs:
    """The verbs of one conversation.

    Args:
        controller: the conversation.
        put_back: gives people back questions that were typed and not asked.
        options: how the next questions are asked.
    """

    def __init__(
        self,
        controller: Controller,
        *,
        put_back: Callable[[Sequence[Question]], None],
        options: Options | None = None,
    ) -> None:
        self.controller = controller
        self.options = options or Options()
        self.tray = AttachmentTray(controller)
        self._put_back = put_back

    @property
    def table(self) -> Mapping[str, Verb]:
        """The verbs by the names of their commands."""
        return {
            "stop": lambda _: self.stop(),
            "answer_now": lambda _: self.answer_now(),
            "pause": self.pause,
            "continue": lambda _: self.continue_(),
            "thinking": self.thinking,
            "again": lambda _: self.again(),
            "edit": self.edit,
            "branch": lambda _: self.branch(),
            "new": lambda _: self.new(),
            "resume": self.resume,
            "title": self.title,
            "export": self.export,
            "image": self.image,
            "remove_image": lambda _: self.tray.remove_last(),
            "paste_image": lambda _: self.tray.paste(),
            "restart": lambda _: self.restart(),
        }

    def question(self, text: str) -> Question:
        """Make a question of `text` and the attached images, and detach them."""
        return Question(text, self.tray.take(), self.options)

    # -- the running answer ------------------------------------------------------------------------------

    def stop(self) -> str:
        """Stop the answer; questions that waited are given back."""
        self._put_back(self.controller.stop())
        return "" if self.controller.stopping else "Nothing is running."

    def answer_now(self) -> str:
        """End the reasoning; with nothing running, continue a reply that was cut off."""
        if self.controller.answer_now():
            return "Ending the reasoning; answering…"
        return "" if self.controller.go_on() else "It is not thinking, and no reply was cut off."

    def pause(self, hint: str) -> str:
        """Pause, or resume after a pause; `hint` is added to the reasoning."""
        if not self.resume_answer(hint):
            return ""
        if not self.controller.pause():
            return "Nothing is running."
        return self.resume_answer(hint) if hint else ""

    def resume_answer(self, hint: str) -> str:
        """Resume after a pause; `hint` is added to the reasoning."""
        hint = f"\n{hint.strip()}\n" if hint.strip() else ""
        return "" if self.controller.resume(hint) else "It is no longer paused."

    def continue_(self) -> str:
        """Continue the last reply."""
        if self.controller.go_on():
            return ""
        return "Nothing to continue: the last reply is complete. /again retries."

    def restart(self) -> str:
        """Start the engine again."""
        self.controller.restart()
        return ""

    # -- questions ---------------------------------------------------------------------------------------

    def thinking(self, typed: str) -> str:
        """Switch thinking on or off, or limit it, for the next questions."""
        options = parse_thinking(typed, self.options)
        if options is None:
            return "Type /thinking on, /thinking off, or a token limit such as /thinking 500."
        self.options = options
        return thinking_words(options)

    def again(self) -> str:
        """Ask the last question again."""
        self._put_back(self.controller.withdraw())
        return "" if ask_again(self.controller) else "There is no question to ask again."

    def edit(self, text: str) -> str:
        """Ask `text` in place of the last question."""
        if not text:
            return "Type the new question after /edit."
        if self.controller.turn is None:
            return "There is no question to edit."
        return self.edit_last(self.question(text))

    def edit_last(self, question: Question) -> str:
        """Ask `question` in place of the last one."""
        self._put_back(self.controller.withdraw())
        return "" if edit_last(self.controller, question) else "There is no question to edit."

    def branch(self) -> str:
        """Show the next version of a turn.

        Raises:
            SessionError: an answer is running.
        """
        turn = self.controller.turn if switch_branch(self.controller) else None
        if turn is None:
            return "There is no other version; /edit changes the last question, /again repeats it."
        number, count = turn.sibling
        return f"Version {number} of {count}: {sanitize_line(turn.question.text)}"

    async def image(self, typed: str) -> str:
        """Attach the image at a typed path."""
        if not typed:
            return "Type the path of an image after /image."
        return await self.tray.attach([find_file(typed) or typed_path(typed.strip())])

    # -- conversations -----------------------------------------------------------------------------------

    def new(self) -> str:
        """Start a new conversation."""
        self._put_back(self.controller.withdraw())
        new_conversation(self.controller)
        return "New conversation."

    def resume(self, name: str) -> str:
        """Open the conversation called `name`; empty: the last one.

        Raises:
            SessionError: there is none, or it is open elsewhere.
        """
        return self.open(self.controller.recorder.library.find(name or "last"))

    def open(self, id: str) -> str:  # noqa: A002 - the word of the format
        """Open the conversation with this id, and restore its draft.

        Raises:
            SessionError: there is none, or it is open elsewhere.
        """
        recorder = self.controller.recorder
        self._put_back(self.controller.withdraw())
        open_conversation(self.controller, id)
        turns = len(self.controller.turns)
        title = sanitize_line(title_of(recorder.library.read(id)))
        opened = f"Opened {title}, {turns} turn{'s' if turns != 1 else ''}."
        return f"{opened} {self.restore(recorder.draft_of(id))}".strip()

    def restore(self, draft: Draft) -> str:
        """Give back what was typed and not asked; it is kept until a question is asked."""
        images = tuple(images_of(draft))
        if not draft.text and not images:
            return ""
        self._put_back([Question(draft.text, images)])
        self.controller.recorder.keep_draft(draft.text, self.tray.images)
        return "Draft restored."

    def title(self, title: str) -> str:
        """Name the conversation; empty: tell its name."""
        if title and self.kept:
            return self.rename(title)
        return f"Title: {self.name}" if self.kept else "There is no conversation yet."

    def rename(self, title: str) -> str:
        """Name the conversation; empty: after its first question."""
        self.controller.recorder.session.rename(title)
        return f"Title: {self.name}"

    @property
    def name(self) -> str:
        """The conversation's title, safe for a screen."""
        return sanitize_line(title_of(self.controller.recorder.session.tree))

    def export(self, typed: str) -> str:
        """Write the conversation as typed: a file, a format, or nothing for Markdown.

        Raises:
            MagistralError: it cannot be written.
        """
        return self._export(lambda tree: export_as_typed(tree, typed))

    def export_as(self, form: Format, folder: Path, *, reasoning: bool) -> str:
        """Write the conversation into `folder`.

        Raises:
            MagistralError: it cannot be written.
        """
        return self._export(lambda tree: export_freely(tree, form, folder, reasoning=reasoning))

    @property
    def kept(self) -> bool:
        """Whether anything was asked, so there is a conversation to name and to export."""
        return bool(self.controller.recorder.session.tree.turns)

    def _export(self, write: Callable[[Tree], Path]) -> str:
        if not self.kept:
            return "There is nothing to export yet."
        session = self.controller.recorder.session
        session.flush()
        return f"Saved to {sanitize_line(str(write(session.tree)))}."


async def obey(verb: Verb, argument: str = "") -> str | None:
    """Do it; returns a line for people, also when it fails."""
    try:
        done = verb(argument)
        return await done if isawaitable(done) else done
    except MagistralError as error:
        return sanitize_line(str(error))
