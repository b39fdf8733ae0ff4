"""The model of the runtime with its weights left on the disk: a matrix is read while it is multiplied with.

The forward pass is the runtime's own (`magistral_mlx.model`); only what holds a matrix is put in its place.
"""

# pyright: reportUnknownMemberType=false
# Reason: mlx leaves *shape, *axes and *args of its array methods without types.

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_unflatten
from numpy.typing import NDArray

from magistral_mlx.checkpoint.config import ModelConfig
from magistral_mlx.model.decoder import decode_layer, normalize
from magistral_mlx.model.magistral import MagistralModel
from magistral_mlx_convert.report.calibration import Sample
from magistral_mlx_convert.report.weights import Weights, chunks, whole

_HEAD = "language_model.lm_head.weight"


Observe = Callable[[str, mx.array], None]
"""Gets the name of a matrix of the text model and what it is multiplied with: [positions, in], float32."""


class StreamedModel:
    """Runs batches of samples through one layer after the other.

    Args:
        config: of the model.
        weights: its parameters.
        observe: called before a matrix of a layer is multiplied; of matrices that read the same, the first.
    """

    def __init__(self, config: ModelConfig, weights: Weights, *, observe: Observe | None = None) -> None:
        self.config = config
        self._weights = weights
        self._model = MagistralModel(config)
        _leave_weights_on_disk(self._model, weights, observe)

    def embed(self, batch: Sequence[Sample]) -> mx.array:
        """[samples, longest, hidden]: prompts with their images, filled up at the end.

        What is filled up does not matter: no position sees those after it.
        """
        longest = max(len(sample.token_ids) for sample in batch)
        rows: list[mx.array] = []
        for sample in batch:
            features = [self._model.encode_image(mx.array(image.pixels)) for image in sample.images]
            states = self._model.embed_prompt(sample.token_ids, features)
            rows.append(mx.pad(states, [(0, longest - len(sample.token_ids)), (0, 0)]))
            mx.eval(rows[-1])
        stacked = mx.stack(rows)
        mx.eval(stacked)
        return stacked

    def pass_layer(self, index: int, states: list[mx.array]) -> None:
        """Puts the states after layer `index` in the place of those before it, batch by batch."""
        for place, before in enumerate(states):
            states[place] = decode_layer(self._model.language_model, index, before)
            mx.eval(states[place])

    def normalized(self, states: mx.array) -> mx.array:
        """What the head reads, evaluated."""
        normed = normalize(self._model.language_model, states)
        mx.eval(normed)
        return normed

    def head(self) -> Iterator[tuple[int, mx.array]]:
        """The head's rows: the first token id of each piece and its weights."""
        return chunks(self._weights, _HEAD)


class _Linear(nn.Module):
    def __init__(self, weights: Weights, name: str, observe: Observe | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # mlx leaves it unannotated
        self._source, self._name, self._observe = weights, name, observe

    def __call__(self, x: mx.array) -> mx.array:
        """[..., in] -> [..., out], evaluated."""
        flat = x.reshape(-1, x.shape[-1])  # one product for all samples
        if self._observe is not None:
            self._observe(self._name, flat)
        parts: list[mx.array] = []
        for _, rows in chunks(self._source, self._name):
            parts.append(product(flat, rows))
            mx.eval(parts[-1])
        return mx.concatenate(parts, axis=-1).reshape(*x.shape[:-1], -1)


class _GatedMLP(nn.Module):
    """SwiGLU; its inner activations stay in the pieces in which they arise."""

    def __init__(self, weights: Weights, path: str, observe: Observe | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # mlx leaves it unannotated
        self._source, self._path, self._observe = weights, path, observe

    def __call__(self, x: mx.array) -> mx.array:
        """[..., hidden] -> [..., hidden], evaluated."""
        flat, down = x.reshape(-1, x.shape[-1]), f"{self._path}.down_proj.weight"
        inner = list(self._inner(flat))
        if self._observe is not None:
            self._observe(f"{self._path}.gate_proj.weight", flat)
            self._observe(down, mx.concatenate([piece for _, piece in inner], axis=1))
        parts: list[mx.array] = []
        for _, rows in chunks(self._source, down):
            parts.append(
                sum(
                    (product(piece, rows[:, first : first + piece.shape[1]]) for first, piece in inner),
                    start=mx.array(0.0),
                )
            )
            mx.eval(parts[-1])
        return mx.concatenate(parts, axis=-1).reshape(x.shape)

    def _inner(self, flat: mx.array) -> Iterator[tuple[int, mx.array]]:
        gates = chunks(self._source, f"{self._path}.gate_proj.weight")
        ups = chunks(self._source, f"{self._path}.up_proj.weight")
        for (first, gate), (_, up) in zip(gates, ups, strict=True):
            gated = product(flat, gate)
            piece = gated * mx.sigmoid(gated) * product(flat, up)
            mx.eval(piece)
            yield first, piece


class _Embedding(nn.Module):
    def __init__(self, weights: Weights, name: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # mlx leaves it unannotated
        self._source, self._name = weights, name

    def __call__(self, token_ids: mx.array) -> mx.array:
        """[n] -> [n, hidden]: only the rows that are asked for are read."""
        wanted: list[int] = token_ids.tolist()  # type: ignore[assignment]  # one axis, so a flat list
        rows = {token: self._source.rows(self._name, token, 1) for token in sorted(set(wanted))}
        return mx.concatenate([rows[token] for token in wanted])


def _leave_weights_on_disk(model: MagistralModel, weights: Weights, observe: Observe | None) -> None:
    """Every module that holds a matrix is replaced, every other gets its few weights."""
    replaced: list[tuple[str, nn.Module]] = []
    modules = cast("list[tuple[str, nn.Module]]", cast(Any, model).named_modules())  # left untyped
    for path, module in modules:
        observer = observe if path.startswith("language_model.") else None
        if path.endswith(".mlp"):
            replaced.append((path, _GatedMLP(weights, path, observer)))
        elif isinstance(module, nn.Linear) and ".mlp." not in path:
            repeats = path.endswith((".k_proj", ".v_proj"))
            replaced.append((path, _Linear(weights, f"{path}.weight", None if repeats else observer)))
        elif isinstance(module, nn.Embedding):
            replaced.append((path, _Embedding(weights, f"{path}.weight")))
        elif f"{path}.weight" in weights.shapes and ".mlp." not in path:
            module.update({"weight": whole(weights, f"{path}.weight")})
    model.update_modules(tree_unflatten(replaced))


def product(x: mx.array, rows: mx.array) -> mx.array:
    """[n, in] times the transpose of [out, in] -> [n, out], in float32.

    Without a GPU numpy multiplies: its BLAS reaches 80 GFLOP/s on a core where MLX's CPU backend reaches 2
    (1600 x 5120 x 1024, MLX 0.32.4). Both read the same memory.
    """
    if mx.default_device() == mx.Device(mx.gpu):
        return x @ rows.T
    return mx.array(_floats(x) @ _floats(rows).T)


def _floats(array: mx.array) -> NDArray[np.float32]:
    return cast("NDArray[np.float32]", np.asarray(array))
