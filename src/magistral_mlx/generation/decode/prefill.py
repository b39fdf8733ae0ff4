"""Prefill: run the model over a prompt in chunks.

The generator can be left wherever it yields, and an exception may end it: the prompt cache stays consistent,
because each chunk is noted in its record once it has been fed. A chunk is computed layer by layer, and a slow
one yields between layers, so stopping never waits for a whole chunk.
"""

import itertools
import time
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar, cast

import mlx.core as mx
import numpy as np

from magistral_mlx.events import PrefillProgress
from magistral_mlx.generation.cache.feature_store import FeatureStore
from magistral_mlx.generation.cache.prompt_cache import Key, PromptCache
from magistral_mlx.generation.evaluation import evaluate, evaluate_layers
from magistral_mlx.model.magistral import MagistralModel
from magistral_mlx.prompt.turns import PreparedPrompt

T = TypeVar("T")

TELL_SECONDS = 0.1
"""Within a chunk the progress is told, and a stop seen, after the first layer that ends so late."""


class PromptReader:
    """Token ids and images of one prompt -> embeddings of any range of it.

    Args:
        image_id: the id of [IMG]; None for a tokenizer without images.
    """

    def __init__(
        self, model: MagistralModel, store: FeatureStore, prompt: PreparedPrompt, *, image_id: int | None
    ) -> None:
        self._model = model
        self._store = store
        self._images = prompt.images
        self._ids = np.asarray(prompt.token_ids, np.int32)
        self._image_positions = np.flatnonzero(self._ids == (-1 if image_id is None else image_id))
        sizes = [image.token_count for image in prompt.images]
        self._first_feature = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])

    def ids(self, start: int, stop: int) -> mx.array:
        """[stop - start] token ids."""
        return mx.array(self._ids[start:stop])

    def embeddings(self, start: int, stop: int) -> mx.array | None:
        """[stop - start, hidden]; None if no image lies there: then the ids are enough.

        Images are encoded here, one at a time, when the first range that needs them is read.
        """
        first, last = (int(place) for place in np.searchsorted(self._image_positions, [start, stop]))
        if first == last:
            return None
        places = mx.array(self._image_positions[first:last] - start)
        embeddings = self._model.embed(self.ids(start, stop))
        embeddings[places] = self._features(first, last).astype(embeddings.dtype)
        return embeddings

    def encoding(self, start: int, stop: int) -> Generator[None]:
        """Encode the images of a range beforehand; it yields after each layer of the vision tower."""
        first, last = (int(place) for place in np.searchsorted(self._image_positions, [start, stop]))
        for image, begin in zip(self._images, self._first_feature[:-1], strict=True):
            if begin < last and begin + image.token_count > first:
                yield from self._store.encoding(image)

    def _features(self, first: int, last: int) -> mx.array:
        """Features number `first` to `last` (exclusive), counted over all images of the prompt."""
        pieces: list[mx.array] = []
        for image, begin in zip(self._images, self._first_feature[:-1], strict=True):
            end = begin + image.token_count
            if begin < last and end > first:
                features = self._store.features(image)
                pieces.append(features[max(first - begin, 0) : last - begin])
        return mx.concatenate(pieces)


def prefill(
    model: MagistralModel,
    cache: PromptCache,
    reader: PromptReader,
    keys: Sequence[Key],
    *,
    step_at: Callable[[int], int],
) -> Generator[PrefillProgress, None, mx.array]:
    """Read everything that the cache lacks, in chunks.

    Memory beyond the KV cache does not grow with the prompt: embeddings exist for one chunk at a time, and
    only the last position goes through lm_head.

    Args:
        keys: one per position of the prompt; `cache` holds a prefix of them, or all and their logits.
        step_at: tokens held -> tokens of the next chunk (`PrefillStep.at`).

    Yields:
        The progress, first with the cached tokens.

    Returns:
        Logits [1, vocab] after the last position.
    """
    yield PrefillProgress(len(cache), len(keys))
    if len(cache) == len(keys) and cache.logits is not None:
        return cache.logits
    while True:
        start = len(cache)
        stop = min(start + step_at(start), len(keys))
        yield from _told(reader.encoding(start, stop), _progress(start, start, len(keys), layers=1))
        embeddings = reader.embeddings(start, stop)
        layers = model.hidden_by_layer(
            reader.ids(start, stop)[None],
            cache=cache.layers,
            embeddings=None if embeddings is None else embeddings[None],
        )
        del embeddings
        try:
            hidden = yield from _told(layers, _progress(start, stop, len(keys), layers=len(cache.layers)))
        except GeneratorExit:
            cache.trim(start)  # some layers hold the chunk already
            raise
        last = stop == len(keys)
        logits = model.head(hidden[:, -1, :]) if last else None
        del hidden  # else it lives on through the next chunk
        evaluate_layers(cache.layers)
        if logits is not None:
            evaluate(logits)
        cache.extend(keys[start:stop], logits=logits)
        mx.clear_cache()
        yield PrefillProgress(stop, len(keys))
        if logits is not None:
            return logits


def _progress(start: int, stop: int, total: int, *, layers: int) -> Callable[[int], PrefillProgress]:
    """The progress after so many layers of a chunk."""
    return lambda done: PrefillProgress(start + (stop - start) * done // layers, total)


def _told(
    work: Generator[None, None, T], progress: Callable[[int], PrefillProgress]
) -> Generator[PrefillProgress, None, T]:
    """Run `work` to its end and return its value; yield `progress(steps done)` where it is slow."""
    last = time.perf_counter()
    for done in itertools.count(1):
        try:
            next(work)
        except StopIteration as end:
            return cast("T", end.value)
        if time.perf_counter() - last >= TELL_SECONDS:
            yield progress(done)
            last = time.perf_counter()
    raise AssertionError("count ended")
