"""The slash commands of plain mode: the verbs of the conversation, with lines in place of dialogs."""

from collections.abc import Mapping, Sequence

from magistral_mlx.sanitize import sanitize, sanitize_line
from magistral_mlx.sessions.export.words import day
from magistral_mlx.storage.messages import Options
from magistral_mlx_tui.command_table import COMMANDS, Command
from magistral_mlx_tui.conversation.controller import Controller
from magistral_mlx_tui.conversation.turns import Question
from magistral_mlx_tui.conversation.verbs import Verb, Verbs, obey
from magistral_mlx_tui.plain.transcript import Transcript

AT_ONCE = frozenset({"stop", "answer_now", "pause", "restart", "reasoning", "help", "quit"})
"""Commands about the running answer; all others wait until it ends."""
_MOST_LISTED = 20


class PlainCommands:
    """Obeys commands; every result is a line of the transcript.

    Args:
        controller: the conversation.
        transcript: where the results go.
        options: how questions are asked at first.
    """

    def __init__(self, controller: Controller, transcript: Transcript, options: Options) -> None:
        self.verbs = Verbs(controller, put_back=self._put_back, options=options)
        self.left = False
        """Whether people asked to leave."""
        self._library = controller.recorder.library
        self._transcript = transcript

    @property
    def _table(self) -> Mapping[str, Verb]:
        return {
            **self.verbs.table,
            "sessions": self._sessions,
            "reasoning": lambda _: self._reasoning(),
            "help": lambda _: self._help(),
            "quit": lambda _: self._quit(),
        }

    async def obey(self, command: Command, argument: str) -> None:
        """Do `command`, or say why not."""
        verb = self._table.get(command.name)
        if verb is None:
            self.say(f"{command.slash_name} needs a screen.")
        else:
            self.say(await obey(verb, argument))

    def say(self, line: str | None) -> None:
        """Write a line, if there is one."""
        if line:
            self._transcript.say(line)

    def _put_back(self, questions: Sequence[Question]) -> None:
        for question in questions:
            if question.text:
                self.say(f"not asked: {sanitize(question.text)}")
            for image in question.images:
                self.verbs.tray.images.append(image)
                self.say(f"attached: {image.label}")

    def _sessions(self, words: str) -> str:
        found = {hit.id for hit in self._library.search(words)} if words else None
        listed = [each for each in self._library.summaries() if found is None or each.id in found]
        for each in listed[:_MOST_LISTED]:
            self.say(f"{each.id}  {day(each.updated_at)}  {sanitize_line(each.title)}")
        if len(listed) > _MOST_LISTED:
            self.say(f"and {len(listed) - _MOST_LISTED} more; /sessions WORDS searches")
        return "/resume ID opens one." if listed else "No conversation found."

    def _reasoning(self) -> str:
        self._transcript.reasoning = not self._transcript.reasoning
        return "Reasoning is shown." if self._transcript.reasoning else "Reasoning is hidden, but kept."

    def _help(self) -> None:
        self.say("A line is a question. A backslash at its end continues it on the next line.")
        for command in COMMANDS:
            if command.name in self._table:
                self.say(f"{command.usage}: {command.help}")
        self.say("Ctrl+C stops the answer; Ctrl+D leaves.")

    def _quit(self) -> None:
        self.left = True
