"""Policies for the next token of one reply: sampled, sampled with log-probabilities, kept to a schema.

`speculation.Drafted` is the fourth. The decode loop is the same for all of them; see `loop`.
"""

from typing import TYPE_CHECKING, Protocol

import mlx.core as mx

from magistral_mlx.generation.cache.prompt_cache import PromptCache
from magistral_mlx.generation.decode.logprobs import LogprobRecorder
from magistral_mlx.generation.decode.sampling import PositionSampler
from magistral_mlx.model.magistral import MagistralModel

if TYPE_CHECKING:
    from magistral_mlx.generation.structured.guard import AnswerGuard

Confirmed = tuple[int, mx.array]
"""A token id and the logits [1, vocab] after it."""


class NextToken(Protocol):
    """Chooses the tokens of one reply. The loop calls `see`, `push` and `choose` in this order per token.

    `see` comes before `push`: the machine computes the next token while the last one is handled.
    """

    def see(self, logits: mx.array, position: int) -> mx.array:
        """Take logits [1, vocab] for the token at `position`; return an array to compute in the meantime."""
        ...

    def push(self, token_id: int) -> None:
        """Take the token before that position, chosen or forced."""
        ...

    def choose(self) -> mx.array:
        """The token [1] for the logits seen last, maybe not evaluated. Skipped when one is forced."""
        ...

    def ahead(self, model: MagistralModel, cache: PromptCache, position: int) -> list[Confirmed]:
        """Tokens from `position` on that one pass over a draft confirmed; empty without a draft.

        `cache.layers` then holds these tokens too; its record does not yet.
        """
        ...


class Sampled:
    """Draw each token from the model's logits."""

    def __init__(self, sampler: PositionSampler) -> None:
        self._sampler = sampler
        self._token: mx.array

    def see(self, logits: mx.array, position: int) -> mx.array:
        """See NextToken.see."""
        self._token = self._sampler.at(logits, position)
        return self._token

    def push(self, token_id: int) -> None:
        """See NextToken.push."""

    def choose(self) -> mx.array:
        """See NextToken.choose."""
        return self._token

    def ahead(self, model: MagistralModel, cache: PromptCache, position: int) -> list[Confirmed]:
        """See NextToken.ahead."""
        return []


class Recorded(Sampled):
    """Draw as `Sampled` and record the log-probability of each token."""

    def __init__(self, sampler: PositionSampler, recorder: LogprobRecorder) -> None:
        super().__init__(sampler)
        self._recorder = recorder

    def see(self, logits: mx.array, position: int) -> mx.array:
        """See NextToken.see."""
        self._recorder.see(logits)
        return super().see(logits, position)

    def push(self, token_id: int) -> None:
        """See NextToken.push."""
        self._recorder.push(token_id)


class Guarded(Sampled):
    """Keep the answer to a schema.

    Inside a thought the next token is computed ahead. Inside the answer each mask needs the token before it.
    """

    def __init__(self, sampler: PositionSampler, guard: "AnswerGuard") -> None:
        super().__init__(sampler)
        self._guard = guard
        self._logits: mx.array
        self._position = 0
        self._drawn_in_thought = False

    def see(self, logits: mx.array, position: int) -> mx.array:
        """See NextToken.see."""
        self._logits, self._position = logits, position
        self._drawn_in_thought = self._guard.thinking
        if not self._drawn_in_thought:
            return logits
        return super().see(self._guard.within_thought(logits), position)

    def push(self, token_id: int) -> None:
        """See NextToken.push."""
        self._guard.push(token_id)

    def choose(self) -> mx.array:
        """See NextToken.choose."""
        if self._drawn_in_thought and self._guard.thinking:  # the last token did not close the thought
            return self._token
        if self._guard.thinking:
            return self._sampler.at(self._guard.within_thought(self._logits), self._position)
        chosen = self._guard.choose(self._logits, lambda masked: self._sampler.at(masked, self._position))
        return mx.array([chosen])
