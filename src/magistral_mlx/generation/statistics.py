"""Times and counts of one reply."""

import time

import mlx.core as mx

from magistral_mlx.events import Stats
from magistral_mlx.prompt.turns import PreparedPrompt


class Stopwatch:
    """Take the times of one reply.

    Args:
        asked_at: `time.perf_counter()` when the question was put.
    """

    def __init__(self, asked_at: float) -> None:
        self._asked_at = asked_at
        self._prefill_began = self._first_token_at = self._last_token_at = 0.0

    def begin_prefill(self) -> None:
        """Prefill begins now; peak memory counts from here."""
        mx.reset_peak_memory()
        self._prefill_began = time.perf_counter()

    def token(self) -> None:
        """A token came now."""
        self._last_token_at = time.perf_counter()
        if not self._first_token_at:
            self._first_token_at = self._last_token_at

    def stats(
        self,
        prompt: PreparedPrompt,
        *,
        cached: int,
        reasoning_tokens: int,
        answer_tokens: int,
        generated: int,
        passes: int,
    ) -> Stats:
        """The statistics so far.

        Args:
            prompt: the prompt, without the tokens of a reply that was continued.
            cached: positions that the KV cache held already.
            reasoning_tokens: of the whole reply.
            answer_tokens: of the whole reply.
            generated: new tokens, control tokens included.
            passes: passes of the model that wrote them.
        """
        started = self._first_token_at > 0
        seconds = self._last_token_at - self._first_token_at
        return Stats(
            prompt_tokens=len(prompt.token_ids),
            cached_tokens=min(cached, len(prompt.token_ids)),
            image_tokens=prompt.image_tokens,
            reasoning_tokens=reasoning_tokens,
            answer_tokens=answer_tokens,
            prefill_seconds=self._first_token_at - self._prefill_began if started else 0.0,
            time_to_first_token=self._first_token_at - self._asked_at if started else 0.0,
            decode_tokens_per_second=(generated - 1) / seconds if seconds > 0 else 0.0,
            peak_memory_bytes=mx.get_peak_memory(),
            decode_passes=passes,
        )
