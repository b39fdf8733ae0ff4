"""The model of the runtime with its weights left on the disk: a matrix is read while it is multiplied with.

The forward pass is the runtime's own (`magistral_mlx.model`); only what holds a matrix is put in its place.
"""

# pyright: reportUnknownMemberType=false
# Reason: mlx leaves *shape, *axes and *args of its array methods without types.

from collections.abc import Iterator
from typing import Any, cast

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_unflatten

from magistral_mlx.model.decoder import decode_layer, normalize
from magistral_mlx.model.magistral import MagistralModel
from magistral_mlx.model_config import ModelConfig
from magistral_mlx_convert.comparison.calibration import Sample
from magistral_mlx_convert.comparison.product import product
from magistral_mlx_convert.comparison.weights import Weights, chunks, whole

_HEAD = "language_model.lm_head.weight"


class StreamedModel:
    """Runs all samples through one layer after the other."""

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        self.config = config
        self._weights = weights
        self._model = MagistralModel(config)
        _leave_weights_on_disk(self._model, weights)

    def embed(self, samples: list[Sample]) -> mx.array:
        """[samples, longest, hidden]: prompts with their pictures, filled up at the end.

        What is filled up does not matter: no position sees those after it.
        """
        longest = max(len(sample.token_ids) for sample in samples)
        rows: list[mx.array] = []
        for sample in samples:
            features = [self._model.encode_image(mx.array(image.pixels)) for image in sample.images]
            states = self._model.embed_prompt(sample.token_ids, features)
            rows.append(mx.pad(states, [(0, longest - len(sample.token_ids)), (0, 0)]))
            mx.eval(rows[-1])
        return mx.stack(rows)

    def layer(self, index: int, states: mx.array) -> mx.array:
        """The states after layer `index`."""
        after = decode_layer(self._model.language_model, index, states)
        mx.eval(after)
        return after

    def normalized(self, states: mx.array) -> mx.array:
        """What the head reads."""
        return normalize(self._model.language_model, states)

    def head(self) -> Iterator[tuple[int, mx.array]]:
        """The head's rows: the first token id of each piece and its weights."""
        return chunks(self._weights, _HEAD)


class _Linear(nn.Module):
    def __init__(self, weights: Weights, name: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # mlx leaves it unannotated
        self._source, self._name = weights, name

    def __call__(self, x: mx.array) -> mx.array:
        """[..., in] -> [..., out], evaluated."""
        flat = x.reshape(-1, x.shape[-1])  # one product for all samples
        parts: list[mx.array] = []
        for _, rows in chunks(self._source, self._name):
            parts.append(product(flat, rows))
            mx.eval(parts[-1])
        return mx.concatenate(parts, axis=-1).reshape(*x.shape[:-1], -1)


class _GatedMLP(nn.Module):
    """SwiGLU; the gate's and the up projection's outputs are never held whole beside each other."""

    def __init__(self, weights: Weights, path: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # mlx leaves it unannotated
        self._source, self._path = weights, path
        self._down = _Linear(weights, f"{path}.down_proj.weight")

    def __call__(self, x: mx.array) -> mx.array:
        """[..., hidden] -> [..., hidden], evaluated."""
        flat = x.reshape(-1, x.shape[-1])
        parts: list[mx.array] = []
        gates = chunks(self._source, f"{self._path}.gate_proj.weight")
        ups = chunks(self._source, f"{self._path}.up_proj.weight")
        for (_, gate), (_, up) in zip(gates, ups, strict=True):
            gated = product(flat, gate)
            parts.append(gated * mx.sigmoid(gated) * product(flat, up))
            mx.eval(parts[-1])
        inner = mx.concatenate(parts, axis=-1)
        mx.eval(inner)
        parts.clear()
        return self._down(inner).reshape(x.shape)


class _Embedding(nn.Module):
    def __init__(self, weights: Weights, name: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # mlx leaves it unannotated
        self._source, self._name = weights, name

    def __call__(self, token_ids: mx.array) -> mx.array:
        """[n] -> [n, hidden]: only the rows that are asked for are read."""
        wanted: list[int] = token_ids.tolist()  # type: ignore[assignment]  # one axis, so a flat list
        rows = {token: self._source.rows(self._name, token, 1) for token in sorted(set(wanted))}
        return mx.concatenate([rows[token] for token in wanted])


def _leave_weights_on_disk(model: MagistralModel, weights: Weights) -> None:
    """Every module that holds a matrix is replaced, every other gets its few weights."""
    replaced: list[tuple[str, nn.Module]] = []
    modules = cast("list[tuple[str, nn.Module]]", cast(Any, model).named_modules())  # left untyped
    for path, module in modules:
        if path.endswith(".mlp"):
            replaced.append((path, _GatedMLP(weights, path)))
        elif isinstance(module, nn.Linear) and ".mlp." not in path:
            replaced.append((path, _Linear(weights, f"{path}.weight")))
        elif isinstance(module, nn.Embedding):
            replaced.append((path, _Embedding(weights, f"{path}.weight")))
        elif f"{path}.weight" in weights.shapes and ".mlp." not in path:
            module.update({"weight": whole(weights, f"{path}.weight")})
    model.update_modules(tree_unflatten(replaced))
