"""The options of a question: their names, types and defaults, checked before anything is computed."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypedDict

from magistral_mlx.api.checks import check_kv_bits, check_whole, is_number
from magistral_mlx.api.tools import described
from magistral_mlx.errors import UsageError
from magistral_mlx.generation.structured.schema import AnswerSchema

MOST_ALTERNATIVES = 20

if TYPE_CHECKING:
    from mistral_common.protocol.instruct.tool_calls import Tool

    from magistral_mlx.generation.answering import Plan


class AskOptions(TypedDict, total=False):
    """What `ask` and `stream` take beside text and images; all may be left out."""

    thinking: bool
    """Whether the model thinks before it answers; True."""
    thinking_budget: int | None
    """Most tokens of thought: then the thought is closed and the model answers. None: no limit of its own."""
    max_tokens: int | None
    """Most tokens in all, with a reserve for the answer among them. None: what the context leaves."""
    temperature: float
    """How freely tokens are drawn; 0.7, the model card's. 0 always takes the likeliest."""
    top_p: float
    """Draw from the likeliest tokens that together have this probability; 0.95, the model card's."""
    seed: int | None
    """The same seed gives the same reply. None: another one every time."""
    stop: str | Iterable[str]
    """Strings that end the answer (not the thought); they are not part of it."""
    schema: object
    """What the answer must be: a JSON schema (dict or JSON text) or a pydantic model class. The thought stays
    free; the answer is then valid JSON however it ends, but for `stop()` and a full memory."""
    tools: "Iterable[Tool | Mapping[str, Any] | Callable[..., object]]"
    """Tools that the model may call: Python functions (described by their signature and docstring), or
    descriptions as mistral-common and OpenAI write them. The model's calls are in `reply.tool_calls`."""
    kv_bits: int | None
    """Width of the KV cache from this question on: 16 (the model's own dtype), 8 or 4. 8 bits take about half
    the memory for nearly the same output, 4 bits about a quarter for a measurably worse one. None: as it is
    in this conversation, or as the model was loaded with."""
    speculation: bool | None
    """Write several tokens per pass where the text lets them be guessed; the reply is the same, token by
    token. None: while it pays; True: always; False: never."""
    logprobs: bool | int
    """Give `reply.logprobs`; a number: with so many alternatives per token (at most 20)."""


@dataclass(frozen=True, kw_only=True)
class CheckedOptions:
    """The same, with defaults and checked.

    Raises:
        UsageError: a value is impossible or contradicts another.
    """

    thinking: bool = True
    thinking_budget: int | None = None
    max_tokens: int | None = None
    temperature: float = 0.7
    top_p: float = 0.95
    seed: int | None = None
    stop: str | Iterable[str] = ()
    schema: object = None
    tools: "Iterable[Tool | Mapping[str, Any] | Callable[..., object]]" = ()
    speculation: bool | None = None
    logprobs: bool | int = False
    kv_bits: int | None = None

    @classmethod
    def of(cls, options: AskOptions) -> "CheckedOptions":
        """The options that a caller gave.

        Raises:
            UsageError: also for a name that is no option.
        """
        check_names(options)
        return cls(**options)

    def changed(self, options: AskOptions) -> "CheckedOptions":
        """The same but for what a caller gave; errors as those of `of`."""
        check_names(options)
        return replace(self, **options)

    def __post_init__(self) -> None:
        if not is_number(self.temperature) or self.temperature < 0:
            raise UsageError(f"temperature is {self.temperature!r}", "Give a number, 0 or more.")
        if not is_number(self.top_p) or not 0 < self.top_p <= 1:
            raise UsageError(f"top_p is {self.top_p!r}", "Give a number above 0, at most 1.")
        check_whole("max_tokens", self.max_tokens, least=1)
        check_whole("thinking_budget", self.thinking_budget, least=0)
        check_whole("seed", self.seed, least=None)
        check_kv_bits(self.kv_bits)
        if not isinstance(self.thinking, bool):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
            raise UsageError(f"thinking is {self.thinking!r}", "Give True or False.")
        if not self.thinking and self.thinking_budget:
            raise UsageError(
                "A thinking budget contradicts thinking switched off",
                "Leave out one of thinking_budget and thinking=False.",
            )
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        if not all(isinstance(text, str) and text for text in stop):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
            raise UsageError("A stop string is empty or not text", "Give strings of at least one character.")
        if self.schema is not None and self.logprobs is not False:
            raise UsageError("Log-probabilities can't be had with a schema", "Leave out one of them.")
        if isinstance(self.logprobs, int) and not 0 <= self.logprobs <= MOST_ALTERNATIVES:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
            raise UsageError(
                f"logprobs is {self.logprobs!r}", f"Give True, or a number up to {MOST_ALTERNATIVES}."
            )
        if self.schema is not None and stop:
            raise UsageError("A stop string contradicts a schema", "Leave out one of stop and schema.")
        if self.schema is not None and not isinstance(self.schema, AnswerSchema):
            object.__setattr__(self, "schema", AnswerSchema.of(self.schema))
        object.__setattr__(self, "stop", stop)
        object.__setattr__(self, "tools", described(self.tools))

    def plan(self) -> "Plan":
        """What generation needs of it. Called on the owner thread, as it loads MLX."""
        from magistral_mlx.generation.answering import Plan
        from magistral_mlx.generation.decode.sampling import Sampling

        return Plan(
            sampling=Sampling(temperature=self.temperature, top_p=self.top_p, seed=self.seed),
            # A model told not to think may still open a thought; it is then closed at once.
            thinking_budget=self.thinking_budget if self.thinking else 0,
            max_tokens=self.max_tokens,
            stop=tuple(self.stop),
            schema=self.schema if isinstance(self.schema, AnswerSchema) else None,
            thinking=self.thinking,
            tools=bool(tuple(self.tools)),
            speculation=self.speculation,
            logprobs=None if self.logprobs is False else int(self.logprobs) * (self.logprobs is not True),
        )


def check_names(options: AskOptions) -> None:
    """Raises UsageError for a name that is no option; says which one may be meant."""
    known = [field.name for field in fields(CheckedOptions)]
    for name in options:
        if name not in known:
            meant = difflib.get_close_matches(name, known, n=1)
            remedy = f"Did you mean {meant[0]}?" if meant else f"There are: {', '.join(known)}."
            raise UsageError(f'There is no option "{name}"', remedy)
