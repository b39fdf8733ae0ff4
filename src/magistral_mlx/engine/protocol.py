"""Messages between a user interface and the engine, and the Protocol that every engine keeps.

    interface -> engine    Start, Ask, Continue, AnswerNow, Pause, Resume, Stop,
                           NewConversation, OpenConversation, SaveCache, LoadCache, Close
    engine -> interface    Loading, Ready, Prefill, Reasoning, Answer, Paused, Progress, Done,
                           Opened, CacheDone, Failed

Messages are frozen msgspec structs; `engine.wire` sends and reads them. Images travel as paths, text as
pieces with their token counts. This module imports neither MLX nor pillow.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import msgspec

from magistral_mlx.events import ContextSegments, Reply
from magistral_mlx.machine.telemetry import Telemetry
from magistral_mlx.prompt.images import ImageGeometry
from magistral_mlx.storage.messages import Options, SavedTurn


@dataclass(frozen=True)
class AskRequest:
    """One question."""

    text: str
    images: tuple[str, ...] = ()
    """Paths of images, readable by the engine; the caller keeps the files until Done or Failed."""
    system: str | None = None
    """The user's own system text, the same for a whole conversation; the reasoning prompt is added to it."""
    options: Options = field(default_factory=Options)


@dataclass(frozen=True)
class EngineModel:
    """The loaded model as user interfaces show it."""

    name: str
    path: str
    is_miniature: bool
    context_length: int
    """In tokens."""
    quantization: str | None
    """Such as "4-bit affine, group 64"; None for unquantized weights."""
    vision: bool
    """It takes images."""
    kv_bytes_per_token: int = 0
    """Memory of one token in the KV cache, unquantized; 0: not known."""
    weight_bytes: int = 0
    """Memory of the weights; 0: not known."""
    geometry: ImageGeometry | None = None
    """How images become tokens; None for a model that takes none."""


class Message(msgspec.Struct, frozen=True, tag_field="type", tag=True, forbid_unknown_fields=True):
    """Base of all messages; the class's name is the message's type in JSON."""


class Start(Message, frozen=True):
    """Load a model: a name, a folder, or None for the best installed one."""

    model: str | None


class Ask(Message, frozen=True):
    """Answer a question in the current conversation."""

    request: AskRequest


class Stop(Message, frozen=True):
    """End the running answer at the next token or prefill chunk and keep its text."""


class NewConversation(Message, frozen=True):
    """Forget all turns."""


class Continue(Message, frozen=True):
    """Continue the last reply, which was cut off, stopped or a loop, without a new prefill."""

    max_tokens: int | None = None
    """Most new tokens; None: as many as the context leaves."""


class AnswerNow(Message, frozen=True):
    """Close the running thought with a closing sentence and answer; no effect outside a thought."""


class Pause(Message, frozen=True):
    """Generate nothing more until Resume or Stop; answered by Paused."""


class Resume(Message, frozen=True):
    """Go on after Pause."""

    hint: str | None = None
    """Text to insert into the thought first; ignored where no thought is open."""


class OpenConversation(Message, frozen=True):
    """Make the conversation exactly these turns; the KV cache keeps the longest common prefix."""

    turns: tuple[SavedTurn, ...]
    system: str | None = None


class SaveCache(Message, frozen=True):
    """Write the conversation and its KV cache to a file; answered by CacheDone or Failed."""

    path: str


class LoadCache(Message, frozen=True):
    """Read the KV cache of a conversation from a file; answered by CacheDone or Failed."""

    path: str


class Close(Message, frozen=True):
    """Leave."""


class Loading(Message, frozen=True):
    """Something is being prepared; `total` 0: the amount is not known."""

    stage: str
    """A few words for people, such as "Loading the weights"."""
    done: int = 0
    total: int = 0


class Ready(Message, frozen=True):
    """The model takes questions."""

    model: EngineModel


class Prefill(Message, frozen=True):
    """`done` of `total` prompt tokens are prefilled; the first one has the cached tokens as `done`."""

    done: int
    total: int


class Reasoning(Message, frozen=True):
    """The next piece of the thought, made of `tokens` tokens."""

    text: str
    tokens: int


class Answer(Message, frozen=True):
    """The next piece of the answer, made of `tokens` tokens."""

    text: str
    tokens: int


class Progress(Message, frozen=True):
    """Figures for gauges, twice a second while answering, once a second otherwise; None: not known (yet)."""

    telemetry: Telemetry = Telemetry()
    tokens_per_second: float | None = None
    """Over the last second of decoding; None outside of decoding."""
    average: float | None = None
    """Tokens per second since the first token of this answer, or of the last one."""
    time_to_first_token: float | None = None
    """In seconds, of this answer or of the last one."""
    context_used: int = 0
    """Tokens of the conversation so far, the growing answer included."""
    context_length: int | None = None
    """Tokens that the model takes."""
    kv_bytes: int | None = None
    """Memory of the conversation's KV cache; None: not known."""
    segments: ContextSegments | None = None
    """The parts of the context; None before the first question."""


class Paused(Message, frozen=True):
    """Nothing more comes until Resume or Stop."""


class Opened(Message, frozen=True):
    """The conversation is now the one of OpenConversation."""


class CacheDone(Message, frozen=True):
    """A KV cache was saved or loaded."""

    nbytes: int
    """Size of the file."""


class Done(Message, frozen=True):
    """The answer ended; `reply.ending` says how."""

    reply: Reply


class Failed(Message, frozen=True):
    """A request failed; `problem` and `remedy` are for people, as in MagistralError."""

    problem: str
    remedy: str = ""
    engine_lost: bool = False
    """True: the engine is gone (died, could not start); `start` brings a new one, with an empty conversation.
    False: only this request failed, the engine takes the next one."""
    log: str | None = None
    """Path of a log file with details."""


EngineEvent = Prefill | Reasoning | Answer | Paused | Progress | Done | Failed
"""Events of `Engine.ask` and `Engine.continue_`."""

AnyCommand: TypeAlias = (
    Start
    | Ask
    | Continue
    | AnswerNow
    | Pause
    | Resume
    | Stop
    | NewConversation
    | OpenConversation
    | SaveCache
    | LoadCache
    | Close
)
AnyMessage: TypeAlias = AnyCommand | Loading | Ready | EngineEvent | Opened | CacheDone
"""Each message that may stand on a line."""


class Engine(Protocol):
    """A model behind a few verbs, for one user interface. All methods belong to one asyncio event loop.

    Failures of the engine are `Failed` events, never exceptions. Only a mistake of the caller raises: asking
    while an answer is running is an EngineError.
    """

    def start(self, model: str | None) -> AsyncIterator[Loading | Ready | Failed]:
        """Load `model` (name, folder, None: the best installed one); ends with Ready or Failed.

        Closes a running engine first. After a death, this brings the engine back.
        """
        ...

    def ask(self, request: AskRequest) -> AsyncGenerator[EngineEvent, None]:
        """Answer in the current conversation; ends with Done or Failed.

        Leaving it early (`contextlib.aclosing`) stops the answer.
        """
        ...

    def continue_(self, max_tokens: int | None = None) -> AsyncGenerator[EngineEvent, None]:
        """Continue the last reply, which was cut off, stopped or a loop, without a new prefill.

        As `ask`, with new pieces only; `Done.reply` is the whole reply, old and new joined.
        """
        ...

    def watch(self) -> AsyncIterator[Progress | Failed]:
        """Yield the events between questions: Progress while idle, Failed if the engine dies.

        One watcher at a time. It outlives deaths, `close` and the next `start`; cancel it to end it.
        """
        ...

    async def stop(self) -> None:
        """End the running answer at the next token or prefill chunk; its `ask` ends with Done."""
        ...

    async def answer_now(self) -> None:
        """Close the running thought with a closing sentence and answer; no effect outside a thought."""
        ...

    async def pause(self) -> None:
        """Generate nothing more; the running `ask` yields Paused and waits for `resume` or `stop`."""
        ...

    async def resume(self, hint: str | None = None) -> None:
        """Go on after `pause`; inserts the hint into the thought first, if one is open."""
        ...

    async def new_conversation(self) -> None:
        """Forget all turns; stops a running answer first."""
        ...

    async def open_conversation(
        self, turns: Sequence[SavedTurn], *, system: str | None = None
    ) -> Failed | None:
        """Make the conversation exactly these turns; stops a running answer first.

        For resuming, editing, asking again, branching, and after a restart.

        Returns:
            None on success.
        """
        ...

    async def save_cache(self, path: str) -> CacheDone | Failed:
        """Write the conversation and its KV cache to a file; `load_cache` spares its prefill later."""
        ...

    async def load_cache(self, path: str) -> CacheDone | Failed:
        """Read the KV cache of a conversation from a file; refuses that of another model."""
        ...

    async def close(self) -> None:
        """End the engine and free its memory, even in the middle of work; may be called more than once."""
        ...
