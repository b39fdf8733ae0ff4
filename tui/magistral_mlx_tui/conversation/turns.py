"""Questions and turns as the app keeps them: harmless text in the pieces in which it came."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypedDict

from magistral_mlx.engine.protocol import AskRequest
from magistral_mlx.events import Ending, Reply
from magistral_mlx.sessions.records import Options
from magistral_mlx_tui.attachments.images import AttachedImage
from magistral_mlx_tui.text.stream_sanitizer import Incoming

CAN_GO_ON = (Ending.CUT_IN_REASONING, Ending.CUT_IN_ANSWER, Ending.STOPPED, Ending.LOOP)
"""Endings after which the same reply can be continued."""
_ENDINGS = {
    Ending.CUT_IN_REASONING: "It ran out of room while thinking: there is no answer. F12 goes on.",
    Ending.CUT_IN_ANSWER: "It ran out of room in the answer. F12 goes on.",
    Ending.STOPPED: "Stopped by you; everything until here is kept. F12 goes on.",
    Ending.LOOP: "It repeated itself and was stopped. /again asks once more.",
    Ending.OUT_OF_MEMORY: "The machine ran out of memory; all of this is kept. Begin a new conversation.",
}


_SHORTEST_READING = 0.1
"""Seconds; what was read faster came in one message, and its speed is not known."""


@dataclass(frozen=True)
class Question:
    """What is asked: the words as they were typed, and the images in their order."""

    text: str
    images: tuple[AttachedImage, ...] = ()
    options: Options = field(default_factory=Options)

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the images' bytes are kept."""
        return tuple(str(image.kept) for image in self.images)


@dataclass
class Turn:
    """One question and what came back so far.

    `reasoning` and `answer` are lists of pieces, so that a screen can take what is new by its index.
    """

    question: Question
    clock: Callable[[], float] = time.monotonic
    reasoning: list[str] = field(default_factory=list[str])
    answer: list[str] = field(default_factory=list[str])
    reasoning_tokens: int = 0
    answer_tokens: int = 0
    reading_speed: float | None = None
    """Prompt tokens per second, from the first to the last chunk that was read."""
    reply: Reply | None = None
    running: bool = True
    id: int = 0
    """Its number in the kept conversation; 0: not kept."""
    sibling: tuple[int, int] = (1, 1)
    """The how-manieth of how many that were asked in its place."""

    def __post_init__(self) -> None:
        self._thought = Incoming()
        self._said = Incoming()
        self._first_thought: float | None = None
        self._last_thought: float | None = None
        self._thought_before = 0.0
        self._first_said: float | None = None
        self._last_said: float | None = None
        self._reading_began: tuple[float, int] | None = None

    @property
    def thinking_seconds(self) -> float:
        """How long it has been thinking, from the first to the last piece of the thought."""
        if self._first_thought is None or self._last_thought is None:
            return self._thought_before
        return self._thought_before + self._last_thought - self._first_thought

    @property
    def answer_seconds(self) -> float:
        """How long it has been answering, from the first to the last piece of the answer."""
        if self._first_said is None or self._last_said is None:
            return 0.0
        return self._last_said - self._first_said

    @property
    def can_go_on(self) -> bool:
        """Whether this reply can be continued; also one that was broken off, if anything was said."""
        if self.running:
            return False
        return self.said_something if self.reply is None else self.reply.ending in CAN_GO_ON

    @property
    def said_something(self) -> bool:
        """Whether anything was generated."""
        return any(self.reasoning) or any(self.answer)

    def thought_before(self, seconds: float) -> None:
        """It thought for `seconds` in all, until now."""
        self._thought_before = seconds
        self._first_thought = self._last_thought = None

    def reopen(self) -> None:
        """The reply goes on."""
        self.thought_before(self.thinking_seconds)
        self.reply, self.running = None, True
        self._thought, self._said = Incoming(), Incoming()

    def add_reading(self, done: int) -> None:
        """`done` tokens of the prompt are read; the first time, those that the cache held."""
        now = self.clock()
        if self._reading_began is None:
            self._reading_began = (now, done)
        elif now > self._reading_began[0] + _SHORTEST_READING:
            began, cached = self._reading_began
            self.reading_speed = (done - cached) / (now - began)

    @property
    def ending_note(self) -> str:
        """Why it ended, in words; empty when it just ended well."""
        if self.running:
            return ""
        if self.reply is None:
            goes_on = "F12 goes on, /again" if self.said_something else "/again"
            return f"Broken off; everything until here is kept. {goes_on} asks once more."
        return _ENDINGS.get(self.reply.ending, "")

    def add_reasoning(self, text: str, tokens: int) -> None:
        """The next piece of the thought."""
        self._last_thought = self.clock()
        self._first_thought = self._last_thought if self._first_thought is None else self._first_thought
        self.reasoning.append(self._thought.push(text))
        self.reasoning_tokens += tokens

    def add_answer(self, text: str, tokens: int) -> None:
        """The next piece of the answer."""
        self._last_said = self.clock()
        self._first_said = self._last_said if self._first_said is None else self._first_said
        self.answer.append(self._said.push(text))
        self.answer_tokens += tokens

    def finish(self, reply: Reply) -> None:
        """It ended as `reply` says."""
        self.reply = reply
        self._end()

    def fail(self) -> None:
        """It was broken off."""
        self._end()

    def _end(self) -> None:
        self.running = False
        self.reasoning.append(self._thought.finish())
        self.answer.append(self._said.finish())


def request_of(question: Question, *, system: str | None) -> AskRequest:
    """`question` with its images and options; `system` is the user's own system text."""
    options = question.options
    return AskRequest(
        question.text,
        images=question.paths,
        system=system,
        thinking=options.thinking,
        thinking_budget=options.thinking_budget,
        max_tokens=options.max_tokens,
        **_sampling(options),
    )


class _Sampling(TypedDict, total=False):
    temperature: float
    top_p: float
    seed: int


def _sampling(options: Options) -> _Sampling:
    """What of it was set; the rest is the engine's default."""
    chosen = _Sampling()
    if options.temperature is not None:
        chosen["temperature"] = options.temperature
    if options.top_p is not None:
        chosen["top_p"] = options.top_p
    if options.seed is not None:
        chosen["seed"] = options.seed
    return chosen
