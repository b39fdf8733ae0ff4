"""Error of the quantized weights, measured during the conversion: relative, per tensor and per class.

The error of a set of weights is the root of their summed squared errors over that of their summed squares.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from magistral_mlx_convert.writing.journal import Errors, Progressed

_TEXT_LAYER = re.compile(r"language_model\.model\.layers\.(\d+)\.")
_LAYER_NUMBER = re.compile(r"\.layers\.\d+\.")


@dataclass(frozen=True)
class ErrorReport:
    """Relative errors (0.08: 8 %); empty tables where nothing was quantized."""

    per_tensor: Mapping[str, float]
    per_class: Mapping[str, float]
    per_layer: tuple[float, ...]
    """Over the matrices of each layer of the text model, first to last."""
    whole: float | None


def error_report(progressed: Progressed) -> ErrorReport:
    """Sum up the measurements of all shards."""
    return summed_up({
        name: pair for shard in progressed.finished.values() for name, pair in shard.errors.items()
    })  # fmt: skip


def summed_up(errors: Errors) -> ErrorReport:
    """Report on squared errors and squared weights of single parameters."""
    classes: dict[str, list[tuple[float, float]]] = {}
    layers: dict[int, list[tuple[float, float]]] = {}
    for name in sorted(errors):
        classes.setdefault(_class_of(name), []).append(errors[name])
        if layer := _TEXT_LAYER.match(name):
            layers.setdefault(int(layer[1]), []).append(errors[name])
    return ErrorReport(
        per_tensor={name: _relative([errors[name]]) for name in sorted(errors)},
        per_class={name: _relative(pairs) for name, pairs in classes.items()},
        per_layer=tuple(_relative(layers[index]) for index in sorted(layers)),
        whole=_relative(list(errors.values())) if errors else None,
    )


def _class_of(name: str) -> str:
    """The parameter's name without its layer: all q_proj are one class."""
    return _LAYER_NUMBER.sub(".layers.*.", name).removesuffix(".weight")


def _relative(pairs: list[tuple[float, float]]) -> float:
    noise, signal = math.fsum(pair[0] for pair in pairs), math.fsum(pair[1] for pair in pairs)
    # All-zero weights are stored exactly. Six digits: far below what the measure means.
    return float(f"{math.sqrt(noise / signal):.6g}") if signal else 0.0
