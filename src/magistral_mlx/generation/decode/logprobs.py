"""Log-probabilities that the model itself gave to the tokens of a reply."""

from collections import deque
from typing import cast

import mlx.core as mx

from magistral_mlx.events import TokenLogprob
from magistral_mlx.prompt.tokenizer import Tokenizer


class LogprobRecorder:
    """Keep the log-probability of each token.

    Args:
        alternatives: how many of the likeliest tokens to keep at each place.
    """

    def __init__(self, tokenizer: Tokenizer, alternatives: int) -> None:
        self._tokenizer = tokenizer
        self._alternatives = alternatives
        self._waiting: deque[mx.array] = deque()
        self.tokens: list[TokenLogprob] = []
        """One entry per token so far."""

    def see(self, logits: mx.array) -> None:
        """Take logits [1, vocab] of the next position, once per position in order."""
        raw = logits.astype(mx.float32)[0]
        self._waiting.append(raw - mx.logsumexp(raw))

    def push(self, token_id: int) -> None:
        """Take the token of the oldest position seen, drawn or forced."""
        logprobs = self._waiting.popleft()
        top: tuple[TokenLogprob, ...] = ()
        if self._alternatives:
            likeliest = mx.argsort(-logprobs)[: self._alternatives]
            ids = cast("list[int]", likeliest.tolist())
            values = cast("list[float]", logprobs[likeliest].tolist())
            top = tuple(self._entry(*pair) for pair in zip(ids, values, strict=True))
        value = cast("float", logprobs[token_id].item())
        self.tokens.append(TokenLogprob(token_id, self._tokenizer.token_bytes(token_id), value, top))

    def _entry(self, token_id: int, value: float) -> TokenLogprob:
        return TokenLogprob(token_id, self._tokenizer.token_bytes(token_id), value)
