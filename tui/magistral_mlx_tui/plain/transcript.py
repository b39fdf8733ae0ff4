"""Writes the conversation as lines, as it happens; nothing is written twice or erased."""

from magistral_mlx.commands.console import Console
from magistral_mlx.engine.protocol import EngineModel
from magistral_mlx.sanitize import sanitize, sanitize_line
from magistral_mlx_tui.conversation.controller import Controller
from magistral_mlx_tui.conversation.endings import ending_words
from magistral_mlx_tui.conversation.state import Phase
from magistral_mlx_tui.conversation.turns import Turn
from magistral_mlx_tui.plain.phrases import Phrases
from magistral_mlx_tui.text.format import format_tokens


class Transcript:
    """Call `report` after every change of the controller.

    Args:
        controller: the conversation.
        console: answers go to its `out`, all else to its `err`.
        reasoning: write the reasoning.
        questions: write each question when its turn comes.
    """

    def __init__(self, controller: Controller, console: Console, *, reasoning: bool, questions: bool) -> None:
        self.reasoning = reasoning
        self.failed = False
        """Something has failed."""
        self._controller = controller
        self._console = console
        self._questions = questions
        self._phase: Phase | None = None
        self._stage = ""
        self._model: EngineModel | None = None
        self._failure: object = None
        self._trouble = ""
        self._turn: Turn | None = None
        self._open = False
        self._arrangement = controller.arrangement
        self._taken = [0, 0]
        self._phrases = [Phrases(), Phrases()]
        self._section: int | None = None
        self._at_line_start = True

    def say(self, line: str) -> None:
        """Write a line of our own, or several."""
        self._end_line()
        for each in line.split("\n"):
            self._console.note(each)

    def report(self) -> None:
        """Write what is new."""
        controller = self._controller
        turn = controller.turn
        if controller.phase is Phase.LOADING and controller.loading.stage != self._stage:
            self._stage = controller.loading.stage
            self.say(f"loading: {self._stage}")
        if controller.arrangement != self._arrangement:
            self._arrangement = controller.arrangement
            if turn is None or not turn.running:
                self._pass_over(turn)
        if controller.model is not self._model and (model := controller.model):
            self._model = model
            demo = " (demo model, not Magistral Small)" if model.is_miniature else ""
            self.say(f"ready: {sanitize_line(model.name)}{demo}, {model.context_length} tokens of context")
        if turn is not None and (turn is not self._turn or turn.running or self._open):
            self._follow(turn)
        if controller.failure is not None and controller.failure is not self._failure:
            self.failed = True
            failure = controller.failure
            remedy = "/restart restarts the engine." if failure.engine_lost else failure.remedy
            self.say(f"failed: {failure.problem.rstrip('.')}. {remedy}".strip())
        self._failure = controller.failure
        if controller.recorder.trouble != self._trouble:
            self._trouble = controller.recorder.trouble
            self.say(f"not saved: {self._trouble}" if self._trouble else "saved again")
        self._report_phase(controller)

    def _report_phase(self, controller: Controller) -> None:
        phase, before = controller.phase, self._phase
        self._phase = phase
        if phase is before:
            return
        if phase is Phase.PAUSED:
            self.say("paused: /pause resumes, /pause HINT resumes with a hint, /stop stops")
        elif phase is Phase.READING:
            self.say("reading")

    def _pass_over(self, turn: Turn | None) -> None:
        """Skip the present turns: they were written before, or people know them."""
        self._flush()
        self._section = None
        self._turn, self._open = turn, False
        self._taken = [len(turn.reasoning), len(turn.answer)] if turn else [0, 0]

    def _follow(self, turn: Turn) -> None:
        self._open = turn.running
        if turn is not self._turn:
            self._turn, self._taken, self._section = turn, [0, 0], None
            if self._questions:
                self.say(f"question: {sanitize(turn.question.text)}")
        for section, pieces in enumerate((turn.reasoning, turn.answer)):
            text = "".join(pieces[self._taken[section] :])
            self._taken[section] = len(pieces)
            if text:
                self._begin(section)
                self._write(section, self._phrases[section].push(text))
        if not turn.running:
            self._end(turn)

    def _begin(self, section: int) -> None:
        if section != self._section:
            self._flush()
            self._section = section
            self.say("answer" if section else "thinking")

    def _write(self, section: int, phrases: list[str]) -> None:
        if not section and not self.reasoning:
            return
        for phrase in phrases:
            if section:
                self._console.result(phrase)
            else:
                self._console.aside(phrase)
            self._at_line_start = phrase.endswith("\n")

    def _flush(self) -> None:
        for section, phrases in enumerate(self._phrases):
            self._write(section, phrases.finish())
        self._end_line()

    def _end_line(self) -> None:
        if not self._at_line_start:
            self._at_line_start = True
            if self._section:
                self._console.result("\n")
            else:
                self._console.aside("\n")

    def _end(self, turn: Turn) -> None:
        self._flush()
        self._section = None
        ending = turn.reply.ending if turn.reply else None
        words = ending_words(ending, produced=turn.said_something, continuing="/continue continues")
        self.say(f"done: {format_tokens(turn.reasoning_tokens + turn.answer_tokens)}. {words or 'Complete.'}")
