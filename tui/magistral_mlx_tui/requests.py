"""A question as the engine is asked it."""

from typing import TypedDict

from magistral_mlx.engine.protocol import AskRequest
from magistral_mlx.sessions.records import Options
from magistral_mlx_tui.turns import Question


def request_of(question: Question, *, system: str | None) -> AskRequest:
    """`question` with its pictures and options; `system` is the user's own system text."""
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
