"""What the matrices of each layer read, when the model runs on the calibration's prompts.

The runtime's own forward pass (`report.streamed_model`), one layer at a time. The states between two layers
lie in a file, so that memory holds one batch of them, and a run that was killed goes on with the layer it had
reached. A file is trusted when its digest fits; a missing or damaged one is computed again from the prompts,
and is the same to the byte.
"""

# pyright: reportUnknownMemberType=false
# Reason: mlx leaves *shape, *axes and *args of its array methods without types.

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import mlx.core as mx
import numpy as np

from magistral_mlx.checkpoint.config import ModelConfig
from magistral_mlx_convert.quantize.curvature import Gram, block_widths
from magistral_mlx_convert.report.calibration import Sample
from magistral_mlx_convert.report.streamed_model import StreamedModel
from magistral_mlx_convert.report.weights import Weights

BATCH_TOKENS = 2048
"""Tokens that pass a layer at a time. Each batch reads the layer's weights anew."""

KEPT_FILES = 3
"""Newest files of states: what is on the disk may be a layer behind what was quantized."""

_DIGEST_BYTES = 32


class Activations:
    """Runs the prompts and adds up Gram matrices.

    Args:
        config: of the model.
        weights: of the source.
        samples: the prompts.
        folder: where states wait; made when it is needed.
        tell: called with (layers done, layers in all) as the prompts pass.
    """

    def __init__(
        self,
        config: ModelConfig,
        weights: Weights,
        samples: Sequence[Sample],
        folder: Path,
        tell: Callable[[int, int], None],
    ) -> None:
        self._model = StreamedModel(config, weights, observe=self._observe)
        self._layers = config.text.num_hidden_layers
        self._hidden = config.text.hidden_size
        self._batches = equal_batches(samples)
        self._folder, self._tell = folder, tell
        self._grams: dict[str, Gram] | None = None
        self._group_size = 0

    def of_layer(self, index: int, group_size: int) -> dict[str, Gram]:
        """Gram matrix of what each matrix of a layer reads, by the name of the first that reads it."""
        self._grams, self._group_size = {}, group_size
        self._pass(index)
        grams, self._grams = self._grams, None
        return grams

    def of_head(self, group_size: int) -> Gram:
        """Gram matrix of what the head reads."""
        gram = Gram(block_widths(self._hidden, group_size))
        for states in self._states(self._layers):
            gram.add(self._model.normalized(states).reshape(-1, self._hidden))
        return gram

    def _observe(self, name: str, inputs: mx.array) -> None:
        if self._grams is None:
            return
        if name not in self._grams:
            self._grams[name] = Gram(block_widths(inputs.shape[-1], self._group_size))
        self._grams[name].add(inputs)

    def _pass(self, index: int) -> None:
        """Passes layer `index`: its states become those of the next."""
        self._tell(index, self._layers)

        def after() -> Iterator[mx.array]:
            for states in self._states(index):
                batch = [states]
                self._model.pass_layer(index, batch)
                yield batch[0]

        self._write(index + 1, after())

    def _states(self, index: int) -> Iterator[mx.array]:
        """The states before layer `index`, batch by batch."""
        self._make(index)
        with self._file(index).open("rb") as file:
            for batch in self._batches:
                shape = (len(batch), len(batch[0].token_ids), self._hidden)
                count = shape[0] * shape[1] * shape[2]
                yield mx.array(np.fromfile(file, np.float32, count).reshape(shape))

    def _make(self, index: int) -> None:
        """Makes sure that the states before layer `index` are there."""
        first = index
        while first and not self._is_whole(first):
            first -= 1
        if first == 0 and not self._is_whole(0):
            self._write(0, (self._model.embed(batch) for batch in self._batches))
        grams, self._grams = self._grams, None  # what is only caught up with is not counted
        for layer in range(first, index):
            self._pass(layer)
        self._grams = grams

    def _file(self, index: int) -> Path:
        return self._folder / f"states-{index:03}"

    def _write(self, index: int, states: Iterator[mx.array]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        growing, digest = self._file(index).with_suffix(".part"), hashlib.sha256()
        with growing.open("wb") as file:
            for batch in states:
                data = np.array(batch.astype(mx.float32)).tobytes()
                digest.update(data)
                file.write(data)
            file.write(digest.digest())
        growing.rename(self._file(index))
        for path in sorted(self._folder.glob("states-*"))[:-KEPT_FILES]:
            path.unlink()

    def _is_whole(self, index: int) -> bool:
        path = self._file(index)
        tokens = sum(len(sample.token_ids) for batch in self._batches for sample in batch)
        size = tokens * self._hidden * 4
        if not path.is_file() or path.stat().st_size != size + _DIGEST_BYTES:
            return False
        digest = hashlib.sha256()
        with path.open("rb") as file:
            left = size
            while left:
                block = file.read(min(left, 1 << 22))
                digest.update(block)
                left -= len(block)
            return file.read() == digest.digest()


def equal_batches(samples: Sequence[Sample]) -> list[list[Sample]]:
    """The same in the same order, in batches of prompts of one length: nothing is filled up."""
    batches: list[list[Sample]] = []
    for sample in samples:
        length = len(sample.token_ids)
        fits = batches and len(batches[-1][0].token_ids) == length
        if not fits or (len(batches[-1]) + 1) * length > BATCH_TOKENS:
            batches.append([])
        batches[-1].append(sample)
    return batches
