"""Drafts of the next tokens, for speculation: from the text so far, or by a smaller model."""

from collections.abc import Sequence
from typing import Protocol, cast

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from magistral_mlx.generation.cache.prompt_cache import PromptCache, position_keys
from magistral_mlx.generation.decode.prefill import PromptReader, prefill
from magistral_mlx.generation.decode.sampling import PositionSampler
from magistral_mlx.generation.evaluation import trim_layers
from magistral_mlx.generation.loaded_model import LoadedModel
from magistral_mlx.prompt.turns import PreparedPrompt

_NGRAMS = (5, 4, 3)
"""Lengths of the endings that are looked up, the longest first. Two tokens recur by chance too often."""


class Drafter(Protocol):
    """Drafts tokens; a wrong draft costs time only."""

    def push(self, token_id: int) -> None:
        """Take the next token of the reply."""
        ...

    def draft(self, *pending: int, most: int) -> list[int]:
        """At most `most` tokens that may follow the pushed ones and `pending`; often none."""
        ...


class NgramDrafter:
    """Prompt lookup: draft the tokens that followed when the text last ended as it does now.

    Args:
        prompt: token ids of the prompt.
        never: ids that are not drafted (control tokens); a draft ends before them.
    """

    def __init__(self, prompt: Sequence[int], *, never: frozenset[int]) -> None:
        self._ids: npt.NDArray[np.int32] = np.zeros(2 * len(prompt) + 1024, np.int32)
        self._ids[: len(prompt)] = prompt
        self._length = len(prompt)
        self._never = never

    def push(self, token_id: int) -> None:
        """As `Drafter.push`."""
        if self._length == len(self._ids):
            self._ids = np.concatenate([self._ids, np.zeros_like(self._ids)])
        self._ids[self._length] = token_id
        self._length += 1

    def draft(self, *pending: int, most: int) -> list[int]:
        """As `Drafter.draft`."""
        for token_id in pending:
            self.push(token_id)
        found = self._lookup(most)
        self._length -= len(pending)
        return found

    def _lookup(self, most: int) -> list[int]:
        ids, length = self._ids, self._length
        # Ends of earlier places where the last token stands; then those before it must agree too.
        places = np.flatnonzero(ids[: length - 1] == ids[length - 1]) if length else np.zeros(0, np.int64)
        agreeing = [places]
        for back in range(1, _NGRAMS[0]):
            places = places[places >= back]
            places = places[ids[places - back] == ids[length - 1 - back]]
            agreeing.append(places)
        for ngram in _NGRAMS:
            if len(agreeing[ngram - 1]):
                return self._following(int(agreeing[ngram - 1][-1]), most)
        return []

    def _following(self, place: int, most: int) -> list[int]:
        """The tokens after `place`; at the end of the text they repeat."""
        period = self._length - 1 - place
        draft: list[int] = []
        for step in range(most):
            token_id = int(self._ids[place + 1 + step % period])
            if token_id in self._never:
                break
            draft.append(token_id)
        return draft


class ModelDrafter:
    """Draft with a smaller model of the same tokenizer; it reads the prompt for its first draft.

    Args:
        loaded: the smaller model.
        cache: its KV cache, which may hold a prefix of the prompt.
        prompt: the prompt of the reply; a model with vision reads its images.
        sampler: that of the reply, so that both models draw with the same random keys.
        position: tokens of the reply that `prompt` ends with.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        cache: PromptCache,
        prompt: PreparedPrompt,
        sampler: PositionSampler,
        *,
        position: int = 0,
    ) -> None:
        sees = loaded.checkpoint.config.vision is not None
        self._loaded = loaded
        self._cache = cache
        self._prompt = prompt if sees else PreparedPrompt(prompt.token_ids)
        self._sampler = sampler
        self._position = position
        self._unread: list[int] = []
        self._ahead: list[int] = []
        self._begun = False

    def push(self, token_id: int) -> None:
        """As `Drafter.push`."""
        self._position += 1
        if self._ahead and self._ahead[0] == token_id:
            del self._ahead[0]
            self._cache.extend([token_id])
            return
        self._ahead.clear()
        trim_layers(self._cache.layers, len(self._cache))
        self._unread.append(token_id)

    def draft(self, *pending: int, most: int) -> list[int]:
        """As `Drafter.draft`. The cache record holds the pushed tokens, `_ahead` drafted ones read since."""
        if not self._begun:
            self._read_prompt()
        trim_layers(self._cache.layers, len(self._cache))
        self._ahead.clear()
        read, self._unread = [*self._unread, *pending], []
        if not read:
            return []
        logits = self._read(read)
        self._cache.extend(read[: len(read) - len(pending)])
        self._ahead = list(pending)
        draft: list[int] = []
        while True:
            place = self._position + len(pending) + len(draft)
            draft.append(cast("int", self._sampler.at(logits, place).item()))
            if len(draft) == most:
                return draft
            logits = self._read(draft[-1:])
            self._ahead.append(draft[-1])

    def _read(self, token_ids: Sequence[int]) -> mx.array:
        ids = mx.array(list(token_ids))[None]
        return self._loaded.model(ids, cache=self._cache.layers)[:, -1, :]

    def _read_prompt(self) -> None:
        loaded, image = self._loaded, self._loaded.tokenizer.special.image
        sees = loaded.checkpoint.config.vision is not None
        keys = position_keys(self._prompt, image_id=image if sees else None)
        self._cache.match(keys)
        reader = PromptReader(loaded.model, loaded.features, self._prompt, image_id=image if sees else None)
        for _ in prefill(loaded.model, self._cache, reader, keys, step_at=loaded.prefill_step.at):
            pass
        self._begun = True
