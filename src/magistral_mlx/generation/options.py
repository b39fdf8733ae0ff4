"""The options of one question, checked, from the API down to the sampler. This module imports no MLX."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from magistral_mlx.generation.structured.schema import AnswerSchema

if TYPE_CHECKING:
    from mistral_common.protocol.instruct.tool_calls import Tool

    Described = Tool | Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to answer one question. The only place where the defaults are written.

    `api.options.checked` makes it from what a caller gave; `api.options.AskOptions` explains each option.
    """

    thinking: bool = True
    thinking_budget: int | None = None
    max_tokens: int | None = None
    temperature: float = 0.7
    """The model card's."""
    top_p: float = 0.95
    """The model card's."""
    seed: int | None = None
    stop: tuple[str, ...] = ()
    schema: AnswerSchema | None = None
    tools: "tuple[Described, ...]" = ()
    kv_bits: int | None = None
    speculation: bool | None = None
    logprobs: int | None = None
    """Alternatives per token; None: no log-probabilities."""

    @property
    def thought_limit(self) -> int | None:
        """Most tokens of thought; None: no limit of its own.

        A model told not to think may still open a thought; it is then closed at once.
        """
        return self.thinking_budget if self.thinking else 0
