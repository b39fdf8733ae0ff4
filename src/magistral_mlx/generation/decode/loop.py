"""The decode loop: one pass of the model per step over one token of each reply in it.

Replies join and leave between steps. What a token means (limits, text, events) is decided by whoever calls
`step`; how the next one is chosen, by the row's policy.

A reply that is alone writes into its own prompt cache and may be drafted for. From two on they share one
batched KV cache, because a pass over one token of each of n replies costs little more than a pass over one
where reading the weights takes the time, as on a GPU.
"""

from collections import deque
from collections.abc import Iterable
from typing import cast

import mlx.core as mx

from magistral_mlx.generation.cache.prompt_cache import PromptCache
from magistral_mlx.generation.decode.next_token import Confirmed, NextToken
from magistral_mlx.generation.evaluation import start_evaluating, trim_layers
from magistral_mlx.model.batch_cache import BatchCache
from magistral_mlx.model.magistral import MagistralModel

CLEAR_EVERY = 256
"""Steps after which the allocator gives unused buffers back, as mlx-lm does."""


class Row:
    """One reply in the loop.

    Args:
        cache: holds the prompt and, of a reply being continued, its tokens so far.
        policy: chooses its tokens.
        logits: [1, vocab] after what `cache` holds.
        position: tokens of the reply in `cache`; 0 unless it is continued.
    """

    def __init__(self, cache: PromptCache, policy: NextToken, logits: mx.array, *, position: int = 0) -> None:
        self.cache = cache
        self.policy = policy
        self.passes = 0
        """Passes of the model that wrote it."""
        self._position = position  # of the next token
        self._forced: deque[int] = deque()
        self.confirmed: deque[Confirmed] = deque()
        """Tokens that come next; `cache.layers` holds them already, its record does not yet."""
        policy.see(logits, position)

    def force(self, token_ids: Iterable[int]) -> None:
        """Make these tokens come next, instead of what the policy would choose."""
        self._forced.extend(token_ids)
        if self._forced:
            self.drop_confirmed()

    def drop_confirmed(self) -> None:
        """Forget what a draft confirmed and `step` has not returned."""
        if self.confirmed:
            self.confirmed.clear()
            trim_layers(self.cache.layers, len(self.cache))

    def confirm(self, model: MagistralModel) -> int | None:
        """The next token, if a draft confirmed it, in an earlier pass or in one made now."""
        if not self.confirmed and not self._forced:
            self.confirmed.extend(self.policy.ahead(model, self.cache, self._position))
            self.passes += bool(self.confirmed)
        if not self.confirmed:
            return None
        token_id, logits = self.confirmed.popleft()
        self._position += 1
        self.cache.extend([token_id], logits=logits)
        self.policy.push(token_id)
        return token_id

    def following(self) -> mx.array:
        """The next token [1], to be fed to the model."""
        return mx.array([self._forced.popleft()]) if self._forced else self.policy.choose()

    def see(self, logits: mx.array) -> mx.array:
        """Take logits [1, vocab] after the token that is being fed; return an array worth computing."""
        self._position += 1
        self.passes += 1
        return self.policy.see(logits, self._position)


class DecodeLoop:
    """Writes replies, one token of each per step.

    A prompt is read before its row joins; a long one can be read chunk by chunk between steps.
    """

    def __init__(self, model: MagistralModel) -> None:
        self._model = model
        self._rows: list[Row] = []
        self._shared: BatchCache | None = None
        self._steps = 0

    def join(self, row: Row) -> None:
        """Add a reply; its first token comes with the next step."""
        if self._rows and self._shared is None:
            self._shared = BatchCache()
            for each in self._rows:
                each.force([token_id for token_id, _ in each.confirmed])
                self._move(each, self._shared)
        if self._shared is not None:
            self._move(row, self._shared)
        self._rows.append(row)

    def leave(self, *rows: Row) -> None:
        """Remove replies, for the step that returned their last token or for a later one."""
        staying = [place for place, row in enumerate(self._rows) if row not in rows]
        for row in rows:
            row.drop_confirmed()
        self._rows = [self._rows[place] for place in staying]
        if self._shared is not None:
            self._shared.keep(staying)
        if not self._rows:
            self._shared = None

    def step(self) -> list[tuple[Row, int]]:
        """The next token of each reply. While the caller handles them the machine computes the following."""
        self._steps += 1
        if self._steps % CLEAR_EVERY == 0:
            mx.clear_cache()
        if self._shared is None:
            (row,) = self._rows
            token_id = row.confirm(self._model)
            if token_id is not None:
                return [(row, token_id)]
            layers = row.cache.layers
        else:
            layers = self._shared.layers
        current = [row.following() for row in self._rows]
        fed = current[0] if len(current) == 1 else mx.concatenate(current)
        logits = self._model(fed[:, None], cache=layers)[:, -1, :]
        after = [logits] if len(current) == 1 else mx.split(logits, len(current))
        start_evaluating(*(row.see(each) for row, each in zip(self._rows, after, strict=True)))
        token_ids = cast("list[int]", fed.tolist())
        for row, token_id, each in zip(self._rows, token_ids, after, strict=True):
            if self._shared is None:
                row.cache.extend([token_id], logits=each)
            row.policy.push(token_id)
        return list(zip(self._rows, token_ids, strict=True))

    def _move(self, row: Row, shared: BatchCache) -> None:
        """From its own cache into the shared one."""
        shared.add(row.cache.layers)
        row.cache.reset()
