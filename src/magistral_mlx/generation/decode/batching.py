"""Several questions answered side by side: read one after the other, written together.

A pass over one token of each of n replies costs little more than a pass over one token where the weights are
what takes time to read, as on a GPU. Prompts are read one at a time, images included, so a batch needs no
more memory for reading than a single question; as soon as one reply ends, the next question takes its place
(continuous batching). Limits, budgets, loops, stop strings and schemas are those of each reply.

mlx-lm's `BatchGenerator` is not used: it takes ids only, so no images, and sets the wired limit.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

import mlx.core as mx

from magistral_mlx.events import Reply
from magistral_mlx.generation.answering import Answering
from magistral_mlx.generation.cache.prompt_cache import PromptCache
from magistral_mlx.generation.decode.sampling import Draws
from magistral_mlx.generation.evaluation import evaluate, start_evaluating
from magistral_mlx.generation.structured.guard import AnswerGuard
from magistral_mlx.model.batch_cache import BatchCache
from magistral_mlx.model.magistral import MagistralModel

Begin = Callable[[], tuple[Answering, PromptCache]]
"""Composes and encodes one question, when its turn has come."""


class _Row:
    """One reply of the batch."""

    def __init__(self, number: int, answering: Answering) -> None:
        self.number = number
        self.answering = answering
        self._draws = Draws(answering.plan.sampling)
        self._forced: deque[int] = deque()

    def choose(self, logits: mx.array) -> mx.array:
        """Logits [1, vocab] -> the next token [1], not evaluated if that can wait."""
        if self._forced:
            return mx.array([self._forced.popleft()])
        guard: AnswerGuard | None = self.answering.guard
        position = len(self.answering.token_ids)
        if guard is None:
            return self._draws.at(logits, position)
        if guard.thinking:
            return self._draws.at(guard.within_thought(logits), position)
        return mx.array([guard.choose(logits, lambda masked: self._draws.at(masked, position))])

    def take(self, token_id: int) -> bool:
        """Takes the token that came; whether the reply goes on."""
        if self.answering.guard is not None:
            self.answering.guard.push(token_id)
        forced = self.answering.take(token_id)
        self._forced.extend(forced or ())
        return forced is not None


def answer_side_by_side(
    model: MagistralModel,
    questions: Sequence[Begin],
    *,
    most_rows: int,
    finished: Callable[[int, Answering, Reply], None],
) -> None:
    """Answers all of `questions`, at most `most_rows` at a time.

    Args:
        model: the decoder.
        questions: begun in their order.
        most_rows: memory for KV caches grows with it.
        finished: told the number of a question and its reply, as soon as it is there.
    """
    waiting = deque(enumerate(questions))
    rows: list[_Row] = []
    cache = BatchCache()
    tokens: list[int] = []
    while waiting or rows:
        while waiting and len(rows) < most_rows:
            number, begin = waiting.popleft()
            answering, own = begin()
            logits = answering.read()
            row = _Row(number, answering)
            if logits is None:  # stopped while it was read
                finished(number, answering, answering.leave())
                continue
            token_id = cast("int", row.choose(logits).item())
            if not row.take(token_id):
                finished(number, answering, answering.leave())
                continue
            cache.add(own.layers)
            own.reset()
            rows.append(row)
            tokens.append(token_id)
        if not rows:
            continue
        logits = model(mx.array(tokens)[:, None], cache=cache.layers)[:, -1, :]
        start_evaluating(logits)
        chosen = [row.choose(logits[place : place + 1]) for place, row in enumerate(rows)]
        evaluate(*chosen)
        tokens = [cast("int", choice.item()) for choice in chosen]
        going = [place for place, row in enumerate(rows) if row.take(tokens[place])]
        for place in sorted(set(range(len(rows))) - set(going)):
            finished(rows[place].number, rows[place].answering, rows[place].answering.leave())
        cache.keep(going)
        rows, tokens = [rows[place] for place in going], [tokens[place] for place in going]
