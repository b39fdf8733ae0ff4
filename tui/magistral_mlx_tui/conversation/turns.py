"""Questions and turns on the screen: sanitized text, in pieces as they came."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from magistral_mlx.engine.protocol import AskRequest
from magistral_mlx.events import Reply
from magistral_mlx.storage.messages import Options
from magistral_mlx_tui.attachments.images import AttachedImage
from magistral_mlx_tui.conversation.endings import CAN_CONTINUE, ending_words
from magistral_mlx_tui.text.stream_sanitizer import StreamSanitizer

_SHORTEST_READING = 0.1
"""Seconds; a faster prefill came in one message, and its speed is unknown."""


@dataclass(frozen=True)
class Question:
    """A question: its text as typed, its images in order, its options."""

    text: str
    images: tuple[AttachedImage, ...] = ()
    options: Options = field(default_factory=Options)

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths of the images' copies."""
        return tuple(str(image.kept) for image in self.images)


@dataclass
class Turn:
    """A question and its reply so far.

    `reasoning` and `answer` are lists of pieces; a screen takes new ones by index.
    """

    question: Question
    clock: Callable[[], float] = time.monotonic
    reasoning: list[str] = field(default_factory=list[str])
    answer: list[str] = field(default_factory=list[str])
    reasoning_tokens: int = 0
    answer_tokens: int = 0
    reading_speed: float | None = None
    """Prompt tokens per second of the prefill, from its first to its last chunk."""
    reply: Reply | None = None
    running: bool = True
    id: int = 0
    """Its number in the kept conversation; 0: not kept."""
    sibling: tuple[int, int] = (1, 1)
    """(position, count) among the versions of this turn."""

    def __post_init__(self) -> None:
        self._thought = StreamSanitizer()
        self._said = StreamSanitizer()
        self._first_thought: float | None = None
        self._last_thought: float | None = None
        self._thought_before = 0.0
        self._first_said: float | None = None
        self._last_said: float | None = None
        self._reading_began: tuple[float, int] | None = None

    @property
    def thinking_seconds(self) -> float:
        """Seconds from the first to the last piece of reasoning."""
        if self._first_thought is None or self._last_thought is None:
            return self._thought_before
        return self._thought_before + self._last_thought - self._first_thought

    @property
    def answer_seconds(self) -> float:
        """Seconds from the first to the last piece of the answer."""
        if self._first_said is None or self._last_said is None:
            return 0.0
        return self._last_said - self._first_said

    @property
    def can_go_on(self) -> bool:
        """This reply can be continued; so can an interrupted one that produced anything."""
        if self.running:
            return False
        return self.said_something if self.reply is None else self.reply.ending in CAN_CONTINUE

    @property
    def said_something(self) -> bool:
        """Anything was generated."""
        return any(self.reasoning) or any(self.answer)

    def thought_before(self, seconds: float) -> None:
        """Add `seconds` of earlier thinking."""
        self._thought_before = seconds
        self._first_thought = self._last_thought = None

    def reopen(self) -> None:
        """Continue the reply."""
        self.thought_before(self.thinking_seconds)
        self.reply, self.running = None, True
        self._thought, self._said = StreamSanitizer(), StreamSanitizer()

    def add_reading(self, done: int) -> None:
        """Note that `done` tokens of the prompt are prefilled; the first time, the cached ones."""
        now = self.clock()
        if self._reading_began is None:
            self._reading_began = (now, done)
        elif now > self._reading_began[0] + _SHORTEST_READING:
            began, cached = self._reading_began
            self.reading_speed = (done - cached) / (now - began)

    @property
    def ending_note(self) -> str:
        """Why it ended, in words; empty while it runs or if it is complete."""
        if self.running:
            return ""
        ending = self.reply.ending if self.reply else None
        return ending_words(ending, produced=self.said_something, continuing="F12 continues")

    def add_reasoning(self, text: str, tokens: int) -> None:
        """Add a piece of reasoning."""
        self._last_thought = self.clock()
        self._first_thought = self._last_thought if self._first_thought is None else self._first_thought
        self.reasoning.append(self._thought.push(text))
        self.reasoning_tokens += tokens

    def add_answer(self, text: str, tokens: int) -> None:
        """Add a piece of the answer."""
        self._last_said = self.clock()
        self._first_said = self._last_said if self._first_said is None else self._first_said
        self.answer.append(self._said.push(text))
        self.answer_tokens += tokens

    def finish(self, reply: Reply) -> None:
        """End with `reply`."""
        self.reply = reply
        self._end()

    def fail(self) -> None:
        """End without a reply: it was interrupted."""
        self._end()

    def _end(self) -> None:
        self.running = False
        self.reasoning.append(self._thought.finish())
        self.answer.append(self._said.finish())


def request_of(question: Question, *, system: str | None) -> AskRequest:
    """Turn a question into a request; `system` is the user's system prompt."""
    return AskRequest(question.text, images=question.paths, system=system, options=question.options)
