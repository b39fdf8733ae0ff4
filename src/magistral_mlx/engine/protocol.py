"""The words between a face and the engine: messages, and the Protocol that every engine keeps.

    face -> engine    Start, Ask, Continue, AnswerNow, Pause, Resume, Stop,
                      NewConversation, OpenConversation, SaveCache, LoadCache, Close
    engine -> face    Loading, Ready, Prefill, Reasoning, Answer, Paused, Progress, Done,
                      Opened, CacheDone, Failed

Every message is a frozen dataclass with `to_json`; `from_json` gives it back and refuses with EngineError
whatever is not exactly such a message. Images travel as paths, texts as pieces with their token counts.
No MLX and no pillow here: importing this module is cheap.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, cast

from magistral_mlx.errors import EngineError
from magistral_mlx.events import ContextSegments, Reply
from magistral_mlx.machine.telemetry import Telemetry
from magistral_mlx.prompt.images import ImageGeometry
from magistral_mlx.storage import messages


class Message:
    """Base of all messages; `TYPE` is the message's name in JSON."""

    TYPE: ClassVar[str]

    def to_json(self) -> dict[str, object]:
        """A JSON object: `type` and the fields."""
        return {"type": self.TYPE, **cast("dict[str, object]", messages.dump(self))}


@dataclass(frozen=True)
class AskRequest:
    """One question. Defaults are those of the model card; None leaves the choice to the runtime."""

    text: str
    images: tuple[str, ...] = ()
    """Paths of images, readable by the engine; the caller keeps the files until Done or Failed."""
    system: str | None = None
    """The user's own system text, the same for a whole conversation; the reasoning prompt is added to it."""
    thinking: bool = True
    thinking_budget: int | None = None
    max_tokens: int | None = None
    temperature: float = 0.7
    top_p: float = 0.95
    seed: int | None = None
    kv_bits: int | None = None
    """Bits of a number in the KV cache; None: as the model computes."""


@dataclass(frozen=True)
class SavedTurn:
    """A question and its reply as a face keeps them; `reasoning` and `answer` may be cut off or empty."""

    question: str
    images: tuple[str, ...] = ()
    """Paths of kept images, readable by the engine."""
    reasoning: str = ""
    answer: str = ""


@dataclass(frozen=True)
class EngineModel:
    """What faces show of the loaded model."""

    name: str
    path: str
    is_miniature: bool
    context_length: int
    """In tokens."""
    quantization: str | None
    """Such as "4-bit affine, group 64"; None for unquantized weights."""
    vision: bool
    """Whether it takes images."""
    kv_bytes_per_token: int = 0
    """Memory of one token in the KV cache, unquantized; 0: not known."""
    weight_bytes: int = 0
    """Memory of the weights; 0: not known."""
    geometry: ImageGeometry | None = None
    """How images become tokens; None for a model that takes none."""


@dataclass(frozen=True)
class Start(Message):
    """Load a model: a name, a folder, or None for the best installed one."""

    TYPE: ClassVar[str] = "start"
    model: str | None


@dataclass(frozen=True)
class Ask(Message):
    """Answer a question in the running conversation."""

    TYPE: ClassVar[str] = "ask"
    request: AskRequest


@dataclass(frozen=True)
class Stop(Message):
    """End the running answer at the next token or prefill chunk and keep what it has."""

    TYPE: ClassVar[str] = "stop"


@dataclass(frozen=True)
class NewConversation(Message):
    """Forget all turns."""

    TYPE: ClassVar[str] = "new_conversation"


@dataclass(frozen=True)
class Continue(Message):
    """Go on with the last reply, which was cut off, stopped or a loop; nothing is read again."""

    TYPE: ClassVar[str] = "continue"
    max_tokens: int | None = None
    """Most tokens to come; None: what the context leaves."""


@dataclass(frozen=True)
class AnswerNow(Message):
    """Close the running thought with a soft landing and answer; without effect outside a thought."""

    TYPE: ClassVar[str] = "answer_now"


@dataclass(frozen=True)
class Pause(Message):
    """Produce nothing more until Resume or Stop; answered by Paused."""

    TYPE: ClassVar[str] = "pause"


@dataclass(frozen=True)
class Resume(Message):
    """Go on after Pause."""

    TYPE: ClassVar[str] = "resume"
    hint: str | None = None
    """Written into the thought as ordinary text first; left out where no thought is open."""


@dataclass(frozen=True)
class OpenConversation(Message):
    """The conversation becomes exactly these turns; the KV cache keeps the longest common beginning."""

    TYPE: ClassVar[str] = "open_conversation"
    turns: tuple[SavedTurn, ...]
    system: str | None = None


@dataclass(frozen=True)
class SaveCache(Message):
    """Write the conversation and its KV cache to a file; answered by CacheDone or Failed."""

    TYPE: ClassVar[str] = "save_cache"
    path: str


@dataclass(frozen=True)
class LoadCache(Message):
    """Take the KV cache of a conversation from a file; answered by CacheDone or Failed."""

    TYPE: ClassVar[str] = "load_cache"
    path: str


@dataclass(frozen=True)
class Close(Message):
    """Leave."""

    TYPE: ClassVar[str] = "close"


@dataclass(frozen=True)
class Loading(Message):
    """Something is being prepared; `total` 0 means that nobody knows how much there is."""

    TYPE: ClassVar[str] = "loading"
    stage: str
    """A few words for people, such as "Loading the weights"."""
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Ready(Message):
    """The model takes questions."""

    TYPE: ClassVar[str] = "ready"
    model: EngineModel


@dataclass(frozen=True)
class Prefill(Message):
    """`done` of `total` prompt tokens are read; the first one has the cached tokens as `done`."""

    TYPE: ClassVar[str] = "prefill"
    done: int
    total: int


@dataclass(frozen=True)
class Reasoning(Message):
    """The next piece of the thought, made of `tokens` tokens."""

    TYPE: ClassVar[str] = "reasoning"
    text: str
    tokens: int


@dataclass(frozen=True)
class Answer(Message):
    """The next piece of the answer, made of `tokens` tokens."""

    TYPE: ClassVar[str] = "answer"
    text: str
    tokens: int


@dataclass(frozen=True)
class Progress(Message):
    """Figures for gauges, twice a second while answering, once a second otherwise; None: not known (yet)."""

    TYPE: ClassVar[str] = "progress"
    telemetry: Telemetry = field(default_factory=Telemetry)
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
    """What the context is made of; None before the first question."""


@dataclass(frozen=True)
class Paused(Message):
    """Nothing more comes until Resume or Stop."""

    TYPE: ClassVar[str] = "paused"


@dataclass(frozen=True)
class Opened(Message):
    """The conversation is the one that OpenConversation described."""

    TYPE: ClassVar[str] = "opened"


@dataclass(frozen=True)
class CacheDone(Message):
    """A KV cache was saved or loaded."""

    TYPE: ClassVar[str] = "cache_done"
    nbytes: int
    """Size of the file."""


@dataclass(frozen=True)
class Done(Message):
    """The answer ended, honestly labelled by `reply.ending`."""

    TYPE: ClassVar[str] = "done"
    reply: Reply


@dataclass(frozen=True)
class Failed(Message):
    """What was asked for failed; `problem` and `remedy` are for people, as in MagistralError."""

    TYPE: ClassVar[str] = "failed"
    problem: str
    remedy: str = ""
    engine_lost: bool = False
    """True: the engine is gone (died, could not start); `start` brings a new one, with an empty conversation.
    False: only this request failed, the engine takes the next one."""
    log: str | None = None
    """Path of a log file that knows more."""


EngineEvent = Prefill | Reasoning | Answer | Paused | Progress | Done | Failed
"""What `Engine.ask` and `Engine.continue_` yield."""

_MESSAGES: dict[str, type[Message]] = {
    cls.TYPE: cls
    for cls in (
        *(Start, Ask, Continue, AnswerNow, Pause, Resume, Stop),
        *(NewConversation, OpenConversation, SaveCache, LoadCache, Close),
        *(Loading, Ready, Prefill, Reasoning, Answer, Paused, Progress),
        *(Done, Opened, CacheDone, Failed),
    )
}


def from_json(raw: object) -> Message:
    """The message that `to_json` turned into `raw`.

    Raises:
        EngineError: `raw` is no object, of unknown type, or has missing, unknown or wrongly typed fields.
    """
    if not isinstance(raw, Mapping):
        raise EngineError("An engine message is not a JSON object", "Start the engine again.")
    values = dict(cast("Mapping[str, object]", raw))
    kind = values.pop("type", None)
    cls = _MESSAGES.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise EngineError("An engine message is of unknown type", "Start the engine again.")
    return cls(**messages.load_fields(cls, values, where=cls.TYPE))


class Engine(Protocol):
    """A model behind a few verbs, for one face. All methods are for one asyncio event loop.

    Nothing here raises for what may happen to an engine: every failure is a `Failed` event. Asking while an
    answer is running is a mistake of the caller: EngineError.
    """

    def start(self, model: str | None) -> AsyncIterator[Loading | Ready | Failed]:
        """Load `model` (name, folder, None: the best installed one); ends with Ready or Failed.

        A running engine is closed first; after a death this is how it comes back.
        """
        ...

    def ask(self, request: AskRequest) -> AsyncGenerator[EngineEvent, None]:
        """Answer in the running conversation; ends with Done or Failed.

        Leaving it early (`contextlib.aclosing`) stops the answer.
        """
        ...

    def continue_(self, max_tokens: int | None = None) -> AsyncGenerator[EngineEvent, None]:
        """Go on with the last reply, which was cut off, stopped or a loop, without reading anything again.

        As `ask`, with new pieces only; `Done.reply` is the whole reply, old and new joined.
        """
        ...

    def watch(self) -> AsyncIterator[Progress | Failed]:
        """What happens between questions: Progress while idle, Failed if the engine dies unasked.

        One watcher at a time. It outlives deaths, `close` and the next `start`, and goes on until cancelled.
        """
        ...

    async def stop(self) -> None:
        """End the running answer at the next token or prefill chunk; its `ask` ends with Done."""
        ...

    async def answer_now(self) -> None:
        """Close the running thought with a soft landing; the answer follows. Nothing outside a thought."""
        ...

    async def pause(self) -> None:
        """Produce nothing more; the running `ask` yields Paused and waits for `resume` or `stop`."""
        ...

    async def resume(self, hint: str | None = None) -> None:
        """Go on after `pause`; a hint is written into the thought first, if one is open."""
        ...

    async def new_conversation(self) -> None:
        """Forget all turns; a running answer is stopped first."""
        ...

    async def open_conversation(
        self, turns: Sequence[SavedTurn], *, system: str | None = None
    ) -> Failed | None:
        """Make the conversation exactly these turns; a running answer is stopped first.

        For resuming, editing, asking again, branching, and after a restart. None: it is so.
        """
        ...

    async def save_cache(self, path: str) -> CacheDone | Failed:
        """Write the conversation and its KV cache to a file, so that it can go on tomorrow at once."""
        ...

    async def load_cache(self, path: str) -> CacheDone | Failed:
        """Take the KV cache of a conversation from a file; one of another model is refused."""
        ...

    async def close(self) -> None:
        """End the engine and free its memory, whatever it is doing; may be called more than once."""
        ...
