"""Events of a running answer, small and frozen, and the reply that they add up to.

This module imports no MLX; user interfaces and the engine's protocol use it without loading anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Ending(StrEnum):
    """How an answer ended. An answer that was cut off is never called complete."""

    COMPLETE = "complete"
    """The model closed its answer itself, or a stop string did."""
    CUT_IN_REASONING = "cut_in_reasoning"
    """The reply ended inside the thought, by `max_tokens`, the context, or the model, which ended its turn
    without closing the thought."""
    CUT_IN_ANSWER = "cut_in_answer"
    """`max_tokens` or the context ran out inside the answer."""
    STOPPED = "stopped"
    """The caller stopped it."""
    LOOP = "loop"
    """The model repeated itself and was stopped."""
    TOOL_CALLS = "tool_calls"
    """The model asks for tools; `reply.tool_calls` holds the calls."""
    OUT_OF_MEMORY = "out_of_memory"
    """The machine ran out of memory; the reply keeps what there was."""

    @property
    def is_whole(self) -> bool:
        """Whether the model finished its turn. Only other replies can be continued."""
        return self in (Ending.COMPLETE, Ending.TOOL_CALLS)


@dataclass(frozen=True)
class Stats:
    """Counts in tokens, times in seconds, memory in bytes, for one reply."""

    prompt_tokens: int = 0
    """All tokens of the prompt, cached ones and image positions included."""
    cached_tokens: int = 0
    """Prompt tokens that the cache held already."""
    image_tokens: int = 0
    """Prompt positions filled by image features ([IMG] only, not breaks and ends)."""
    reasoning_tokens: int = 0
    """Generated tokens of the thought; its two control tokens are not counted."""
    answer_tokens: int = 0
    """Generated tokens of the answer and of tool calls; control tokens are not counted."""
    prefill_seconds: float = 0.0
    """Image encoding and prefill, up to the first generated token."""
    time_to_first_token: float = 0.0
    """From the call to the first generated token: image encoding and prefill included."""
    decode_tokens_per_second: float = 0.0
    peak_memory_bytes: int = 0
    decode_passes: int = 0
    """Passes of the model that wrote the reply; with speculation fewer than its tokens."""


@dataclass(frozen=True)
class ToolCall:
    """One complete tool call; as an event it is sent when its arguments are complete."""

    name: str
    arguments: str
    """The arguments as the model wrote them: a JSON object as text."""


@dataclass(frozen=True)
class TokenLogprob:
    """The log-probability of one generated token.

    Natural logarithm of the model's own probability: the softmax of its logits, before temperature and top-p.
    That holds for forced tokens (the end of a thought) too.
    """

    token_id: int
    token: bytes
    """Its bytes, often not whole characters; b"" for control tokens."""
    logprob: float
    top: "tuple[TokenLogprob, ...]" = ()
    """The likeliest tokens at this position, the likeliest first; as many as were asked for."""


@dataclass(frozen=True)
class Reply:
    """The reply to one question. `Magistral.continue_` and `Conversation.continue_` go on with it."""

    reasoning: str
    """The thought, without its control tokens; empty when there was none."""
    answer: str
    ending: Ending
    stats: Stats = field(default_factory=Stats)
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] | None = None
    """With `logprobs=`: one entry per generated token, control tokens included."""
    parsed: object = field(default=None, hash=False)
    """With a schema: the answer as Python values, or as an instance of the pydantic class. None if the answer
    is not whole, or breaks a rule of the class that JSON schema can't express. It stays in its process."""

    def to_json(self, model: str) -> Mapping[str, object]:
        """The object that `magistral ask --json` prints."""
        return {
            "model": model,
            "reasoning": self.reasoning,
            "answer": self.answer,
            "ending": self.ending.value,
            "stats": dict(self.stats.__dict__),
            **({"tool_calls": [dict(call.__dict__) for call in self.tool_calls]} if self.tool_calls else {}),
        }


@dataclass(frozen=True)
class PrefillProgress:
    """`done` of `total` prompt tokens are read; the first event has the cached tokens as `done`."""

    done: int
    total: int


@dataclass(frozen=True)
class ContextSegments:
    """The parts of the context in tokens; their sum is the context used."""

    system: int = 0
    """The system message, the reasoning prompt included."""
    images: int = 0
    """All images of the conversation, their breaks and ends included."""
    history: int = 0
    """Everything else before the running or last reply: questions and earlier replies."""
    reasoning: int = 0
    """The thought of the running or last reply."""
    answer: int = 0
    """Its answer."""


@dataclass(frozen=True)
class ReasoningText:
    """A piece of the thought; whole characters only."""

    text: str
    tokens: int = field(default=0, compare=False)
    """How many generated tokens went into the thought since its last piece."""


@dataclass(frozen=True)
class AnswerText:
    """A piece of the answer; whole characters only."""

    text: str
    tokens: int = field(default=0, compare=False)
    """How many generated tokens went into the answer since its last piece."""


@dataclass(frozen=True)
class Paused:
    """The stream is paused; the next event comes after `resume`, `answer_now` or `stop`."""


@dataclass(frozen=True)
class Finished:
    """The last event of every stream."""

    reply: Reply


Event = PrefillProgress | ReasoningText | AnswerText | ToolCall | Paused | Finished
