"""The slash commands in line mode; those of the registry that need a screen are told apart."""

from collections.abc import Callable

from magistral_mlx.errors import MagistralError, UsageError
from magistral_mlx.sanitize import sanitize, sanitize_line
from magistral_mlx.sessions.export.words import day
from magistral_mlx.sessions.library import title_of
from magistral_mlx.sessions.records import Options
from magistral_mlx.sessions.unsent import Draft
from magistral_mlx.storage.paths import typed_path
from magistral_mlx_tui.attachments.images import AttachedImage, images_of, keep_image
from magistral_mlx_tui.command_table import COMMANDS, Command
from magistral_mlx_tui.conversation.branching import (
    ask_again,
    edit_last,
    new_conversation,
    open_conversation,
    switch_branch,
)
from magistral_mlx_tui.conversation.controller import Controller
from magistral_mlx_tui.conversation.exporting import export_as_typed
from magistral_mlx_tui.conversation.thinking import parse_thinking, thinking_words
from magistral_mlx_tui.conversation.turns import Question
from magistral_mlx_tui.plain.transcript import Transcript
from magistral_mlx_tui.text.paths import find_file

AT_ONCE = frozenset({"stop", "answer_now", "pause", "restart", "reasoning", "help", "quit"})
"""Commands about what is running; all others wait until nothing is."""
_MOST_LISTED = 20


class Verbs:
    """Obeys commands; every answer is a line of the transcript.

    Args:
        controller: the conversation.
        transcript: where the answers go.
        options: how questions are asked at first.
    """

    def __init__(self, controller: Controller, transcript: Transcript, options: Options) -> None:
        self.options = options
        self.images: list[AttachedImage] = []
        self.left = False
        """Whether people asked to leave."""
        self._controller = controller
        self._transcript = transcript
        self._verbs: dict[str, Callable[[str], None]] = {
            "stop": self._stop,
            "answer_now": self._answer_now,
            "pause": self._pause,
            "continue": self._continue,
            "thinking": self._thinking,
            "again": self._again,
            "edit": self._edit,
            "branch": self._branch,
            "new": self._new,
            "sessions": self._sessions,
            "resume": self.resume,
            "title": self._title,
            "export": self._export,
            "image": self._image,
            "remove_image": self._remove_image,
            "reasoning": self._reasoning,
            "restart": self._restart,
            "help": self._help,
            "quit": self._quit,
        }

    def question(self, text: str) -> Question:
        """`text` with the attached images, which are attached no more."""
        images, self.images = tuple(self.images), []
        return Question(text, images, self.options)

    def obey(self, command: Command, argument: str) -> None:
        """Do what `command` says, or say why not."""
        verb = self._verbs.get(command.name)
        if verb is None:
            self._say(f"/{command.name.replace('_', '-')} has no meaning without a screen")
            return
        try:
            verb(argument)
        except MagistralError as error:
            self._say(f"not done: {error}")

    def _say(self, line: str) -> None:
        self._transcript.say(line)

    # -- what is running ---------------------------------------------------------------------------------

    def _stop(self, _argument: str) -> None:
        waiting = self._controller.stop()
        for question in waiting:
            self._say(f"not asked: {sanitize_line(question.text)}")
        if not self._controller.stopping:
            self._say("nothing is running")

    def _answer_now(self, _argument: str) -> None:
        if not self._controller.answer_now():
            self._say("it is not thinking")

    def _pause(self, hint: str) -> None:
        words = f"\n{hint}\n" if hint else ""
        if self._controller.resume(words):
            return
        if not self._controller.pause():
            self._say("nothing is running")
        elif hint:
            self._controller.resume(words)

    def _restart(self, _argument: str) -> None:
        self._controller.restart()

    def _continue(self, _argument: str) -> None:
        if not self._controller.go_on():
            self._say("nothing to go on with: the last reply ended by itself; /again asks once more")

    def _reasoning(self, _argument: str) -> None:
        self._transcript.reasoning = not self._transcript.reasoning
        self._say(f"reasoning is {'written' if self._transcript.reasoning else 'hidden, but kept'}")

    def _quit(self, _argument: str) -> None:
        self.left = True

    # -- questions ---------------------------------------------------------------------------------------

    def _thinking(self, wish: str) -> None:
        options = parse_thinking(wish, self.options)
        if options is None:
            raise UsageError(f"{wish!r} is no way to think", "Type /thinking on, off, or a number of tokens.")
        self.options = options
        self._say(thinking_words(options))

    def _again(self, _argument: str) -> None:
        if not ask_again(self._controller):
            self._say("there is no question to ask again")

    def _edit(self, text: str) -> None:
        if not text:
            self._say("type the new question behind /edit")
        elif not edit_last(self._controller, self.question(text)):
            self._say("there is no question to change")

    def _branch(self, _argument: str) -> None:
        if switch_branch(self._controller):
            turn = self._controller.turn
            if turn is not None:
                self._say(
                    f"question {turn.sibling[0]} of {turn.sibling[1]}: {sanitize_line(turn.question.text)}"
                )
        else:
            self._say("nothing else was asked here")

    def _image(self, typed: str) -> None:
        if not typed:
            self._say("type the path of an image behind /image")
            return
        model = self._controller.model
        if model is not None and not model.vision:
            self._say(f"{sanitize_line(model.name)} takes no images")
            return
        image = keep_image(find_file(typed) or typed_path(typed.strip()))
        self.images.append(image)
        self._say(f"attached: {image.label}")

    def _remove_image(self, _argument: str) -> None:
        self._say(f"removed: {self.images.pop().name}" if self.images else "no image is attached")

    # -- conversations -----------------------------------------------------------------------------------

    def _new(self, _argument: str) -> None:
        new_conversation(self._controller)
        self._say("new conversation")

    def _sessions(self, words: str) -> None:
        library = self._controller.keeper.library
        found = {hit.id for hit in library.search(words)} if words else None
        listed = [each for each in library.summaries() if found is None or each.id in found]
        for each in listed[:_MOST_LISTED]:
            self._say(f"{each.id}  {day(each.updated_at)}  {sanitize_line(each.title)}")
        if len(listed) > _MOST_LISTED:
            self._say(f"and {len(listed) - _MOST_LISTED} more; type words behind /sessions to search")
        self._say("/resume ID goes on with one" if listed else "no conversation found")

    def resume(self, name: str) -> None:
        """Go on with the kept conversation called `name`; empty: the last one.

        Raises:
            SessionError: there is none, or it is open elsewhere.
        """
        library = self._controller.keeper.library
        id_ = library.find(name or "last")
        open_conversation(self._controller, id_)
        turns = len(self._controller.turns)
        self._say(
            f"opened: {sanitize_line(title_of(library.read(id_)))}, {turns} turn{'s' if turns != 1 else ''}"
        )
        self.bring_back(self._controller.keeper.draft_of(id_))

    def bring_back(self, draft: Draft) -> None:
        """Tell what was typed and not asked, and attach its images; it is kept until a question comes."""
        if draft.text:
            self._say(f"typed before and not asked: {sanitize(draft.text)}")
        for image in images_of(draft):
            self.images.append(image)
            self._say(f"attached: {image.label}")
        if draft.text or self.images:
            self._controller.keeper.keep_draft(draft.text, self.images)

    def _title(self, title: str) -> None:
        session = self._controller.keeper.session
        if title and session.tree.turns:
            session.rename(title)
        self._say(
            f"title: {sanitize_line(title_of(session.tree))}" if session.tree.turns else "no conversation yet"
        )

    def _export(self, file: str) -> None:
        session = self._controller.keeper.session
        if not session.tree.turns:
            self._say("nothing to export yet")
            return
        session.flush()
        self._say(f"written to {sanitize_line(str(export_as_typed(session.tree, file)))}")

    def _help(self, _argument: str) -> None:
        self._say("A line is a question. A backslash at its end goes on in the next line.")
        for command in COMMANDS:
            if command.name in self._verbs:
                self._say(f"{command.usage}: {command.help}")
        self._say("Ctrl-C stops the answer; Ctrl-D leaves.")
