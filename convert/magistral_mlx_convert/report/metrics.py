"""The figures of a comparison: their definitions, their aggregation, their JSON."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from magistral_mlx_convert.report.divergence import Divergence


@dataclass(frozen=True)
class Figures:
    """Over one language, the images, or everything. Divergences in nats; `same_top` from 0 to 1."""

    tokens: int
    source_perplexity: float
    result_perplexity: float
    mean_kl: float
    kl_99: float
    """The 99th percentile of the divergences of single predictions."""
    same_top: float


@dataclass(frozen=True)
class Comparison:
    """`layers`: relative difference of the hidden states after each layer, first to last."""

    whole: Figures
    groups: Mapping[str, Figures]
    layers: tuple[float, ...]

    def to_json(self) -> dict[str, object]:
        """As it stands in report.json and in the manifest."""
        return {
            "whole": asdict(self.whole),
            "groups": {group: asdict(figures) for group, figures in self.groups.items()},
            "layers": list(self.layers),
        }


def figures_of(divergence: Divergence, chosen: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Figures:
    """The figures over the chosen positions, at least one."""
    kl = divergence.kl[chosen]
    return Figures(
        tokens=int(chosen.sum()),
        source_perplexity=_short(math.exp(float(divergence.source_surprise[chosen].mean()))),
        result_perplexity=_short(math.exp(float(divergence.result_surprise[chosen].mean()))),
        mean_kl=_short(float(kl.mean())),
        kl_99=_short(float(np.quantile(kl, 0.99))),
        same_top=_short(float(divergence.same_top[chosen].mean())),
    )


def _short(value: float) -> float:
    # Five digits: beyond them stands the noise of float32.
    return float(f"{value:.5g}")
