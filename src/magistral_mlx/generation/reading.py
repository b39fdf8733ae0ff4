"""Read one prompt: prefill that can be paused and stopped, and is tried again after a fault that may pass."""

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial

import mlx.core as mx

from magistral_mlx.events import Paused, PrefillProgress
from magistral_mlx.generation.cache.prompt_cache import Key, PromptCache
from magistral_mlx.generation.decode.prefill import PromptReader, prefill
from magistral_mlx.generation.decode.prefill_step import PrefillStep
from magistral_mlx.generation.loaded_model import LoadedModel
from magistral_mlx.generation.reply.steering import Steering
from magistral_mlx.machine.faults import recognise
from magistral_mlx.prompt.turns import PreparedPrompt

_log = logging.getLogger(__name__)


class Reading:
    """The prefill of one prompt into its cache.

    Args:
        loaded: the model.
        cache: holds the prompt afterwards, as far as it was read.
        prompt: everything to read, with the ids of a reply being continued.
        keys: one per position of `prompt`.
        stopping: asked before each chunk, and between the layers of a slow one, whether to stop.
        steering: asked as often whether to pause.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        cache: PromptCache,
        prompt: PreparedPrompt,
        keys: Sequence[Key],
        *,
        stopping: Callable[[], bool],
        steering: Steering,
    ) -> None:
        self._loaded = loaded
        self._cache = cache
        self._prompt = prompt
        self._keys = keys
        self._stopping = stopping
        self._steering = steering
        self.cached = 0
        """Positions that the cache held already."""

    def events(self) -> Generator[PrefillProgress | Paused, None, mx.array | None]:
        """Read chunk by chunk; return logits [1, vocab] after the prompt, or None if it was stopped.

        After a fault that smaller chunks may avoid, it begins again with smaller ones.

        Raises:
            RuntimeError, MemoryError: MLX failed; if smaller chunks could help, they failed too.
        """
        step = self._loaded.prefill_step
        try:
            return (yield from self._prefill(step))
        except (RuntimeError, MemoryError) as error:
            fault, smaller = recognise(error), step.smaller()
            if fault is None or not fault.smaller_step_helps or smaller is None:
                raise
            _log.warning("%s (%s); reading again in smaller pieces", fault.problem, error)
        self.forget()
        return (yield from self._prefill(smaller))

    def forget(self) -> None:
        """Empty the cache after a fault: what the interrupted step left in it is unknown."""
        self._cache.reset()
        mx.clear_cache()

    def _prefill(self, step: PrefillStep) -> Generator[PrefillProgress | Paused, None, mx.array | None]:
        self.cached = self._cache.match(self._keys)
        loaded = self._loaded
        image_id = loaded.tokenizer.special.image
        reader = PromptReader(loaded.model, loaded.features, self._prompt, image_id=image_id)
        step_at = partial(step.at, kv_bits=self._cache.kv_bits)
        chunks = prefill(loaded.model, self._cache, reader, self._keys, step_at=step_at)
        with closing(chunks):
            while not self._stopping():
                if self._steering.paused:
                    yield Paused()
                    continue
                try:
                    yield next(chunks)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]  # typeshed has no type for a generator's return value
        return None
