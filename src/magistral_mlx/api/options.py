"""The options of a question as callers give them, checked before anything is computed. Imports no MLX.

`Options` has the checked values and the defaults.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypedDict

from magistral_mlx.api.checks import check_kv_bits, check_whole, is_number
from magistral_mlx.api.tools import described
from magistral_mlx.errors import UsageError
from magistral_mlx.generation.options import Options
from magistral_mlx.generation.structured.schema import AnswerSchema

__all__ = ["MOST_ALTERNATIVES", "AskOptions", "Options", "checked"]

MOST_ALTERNATIVES = 20
"""Most alternatives per token that `logprobs` may ask for."""

if TYPE_CHECKING:
    from mistral_common.protocol.instruct.tool_calls import Tool


class AskOptions(TypedDict, total=False):
    """Options of `ask` and `stream`. All may be left out; `Options` has the defaults."""

    thinking: bool
    """Whether the model thinks before it answers."""
    thinking_budget: int | None
    """Most tokens of thought. At the limit the thought is closed and the model answers. None: no limit."""
    max_tokens: int | None
    """Most tokens of the reply, with a reserve for the answer. None: as many as the context leaves."""
    temperature: float
    """Randomness of the tokens. 0 always takes the likeliest one."""
    top_p: float
    """Draw from the likeliest tokens that together have this probability."""
    seed: int | None
    """The same seed gives the same reply. None: another one every time."""
    stop: str | Iterable[str]
    """Strings that end the answer (not the thought); they are not part of it."""
    schema: object
    """Schema of the answer: a JSON schema (dict or JSON text) or a pydantic model class. The thought stays
    free. The answer is valid JSON however it ends, except after `stop()` or when memory runs out."""
    tools: "Iterable[Tool | Mapping[str, Any] | Callable[..., object]]"
    """Tools that the model may call: Python functions (described by their signature and docstring), or
    descriptions as mistral-common and OpenAI write them. The model's calls are in `reply.tool_calls`."""
    kv_bits: int | None
    """Width of the KV cache from this question on: 16 (the model's own dtype), 8 or 4. 8 bits take about half
    the memory for nearly the same output, 4 bits about a quarter for a measurably worse one. None: the width
    of this conversation, or that of `load`."""
    speculation: bool | None
    """Write several tokens per pass where drafts are right. The reply is the same, token by token.
    None: while it pays; True: whenever there is a draft; False: never."""
    logprobs: bool | int
    """Fill `reply.logprobs`. A number asks for so many alternatives per token (at most 20)."""


def checked(given: AskOptions, base: Options | None = None) -> Options:
    """The options that a caller gave, over those of `base`.

    Raises:
        UsageError: a name is no option, a value is impossible, or two contradict each other.
    """
    check_names(given)
    values: dict[str, Any] = {**given}
    if "stop" in given:
        values["stop"] = _stop_strings(given["stop"])
    if "tools" in given:
        values["tools"] = described(given["tools"])
    if "logprobs" in given:
        values["logprobs"] = _alternatives(given["logprobs"])
    options = replace(base or Options(), **values)
    _check_values(options)
    _check_together(options)
    if options.schema is None or isinstance(options.schema, AnswerSchema):  # pyright: ignore[reportUnnecessaryIsInstance]  # a caller's own is not one yet
        return options
    return replace(options, schema=AnswerSchema.of(options.schema))


def _stop_strings(stop: str | Iterable[str]) -> tuple[str, ...]:
    strings = (stop,) if isinstance(stop, str) or not isinstance(stop, Iterable) else tuple(stop)  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
    if not all(isinstance(text, str) and text for text in strings):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
        raise UsageError("A stop string is empty or not text", "Give strings of at least one character.")
    return strings


def _alternatives(logprobs: bool | int) -> int | None:
    """Alternatives per token; None: no log-probabilities."""
    if logprobs is False:
        return None
    if isinstance(logprobs, int) and not 0 <= logprobs <= MOST_ALTERNATIVES:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
        raise UsageError(f"logprobs is {logprobs!r}", f"Give True, or a number up to {MOST_ALTERNATIVES}.")
    return 0 if logprobs is True else int(logprobs)


def _check_values(options: Options) -> None:
    if not is_number(options.temperature) or options.temperature < 0:
        raise UsageError(f"temperature is {options.temperature!r}", "Give a number, 0 or more.")
    if not is_number(options.top_p) or not 0 < options.top_p <= 1:
        raise UsageError(f"top_p is {options.top_p!r}", "Give a number above 0, at most 1.")
    check_whole("max_tokens", options.max_tokens, least=1)
    check_whole("thinking_budget", options.thinking_budget, least=0)
    check_whole("seed", options.seed, least=None)
    check_kv_bits(options.kv_bits)
    if not isinstance(options.thinking, bool):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
        raise UsageError(f"thinking is {options.thinking!r}", "Give True or False.")


def _check_together(options: Options) -> None:
    if not options.thinking and options.thinking_budget:
        raise UsageError(
            "A thinking budget contradicts thinking switched off",
            "Leave out one of thinking_budget and thinking=False.",
        )
    if options.schema is not None and options.logprobs is not None:
        raise UsageError("Log-probabilities can't be had with a schema", "Leave out one of them.")
    if options.schema is not None and options.stop:
        raise UsageError("A stop string contradicts a schema", "Leave out one of stop and schema.")


def check_names(given: AskOptions) -> None:
    """Raise UsageError for a name that is no option; say which one may be meant."""
    known = [field.name for field in fields(Options)]
    for name in given:
        if name not in known:
            meant = difflib.get_close_matches(name, known, n=1)
            remedy = f"Did you mean {meant[0]}?" if meant else f"There are: {', '.join(known)}."
            raise UsageError(f'There is no option "{name}"', remedy)
