"""The comparison in the order it happens: embed, each layer of both models, the head in pieces, figures."""

# pyright: reportUnknownMemberType=false
# Reason: mlx leaves *shape, *axes and *args of its array methods without types.

from collections.abc import Callable, Mapping
from pathlib import Path

import mlx.core as mx
import numpy as np

from magistral_mlx.model_config import ModelConfig, parse_config
from magistral_mlx.prompt.images import ImageGeometry
from magistral_mlx.prompt.tokenizer import Tokenizer
from magistral_mlx_convert.comparison.calibration import Sample, samples
from magistral_mlx_convert.comparison.divergence import Integers, diverge
from magistral_mlx_convert.comparison.figures import Comparison, figures_of
from magistral_mlx_convert.comparison.streamed_model import StreamedModel
from magistral_mlx_convert.comparison.weights import SourceWeights, StoredWeights, Weights
from magistral_mlx_convert.kernel import small_allocator_cache
from magistral_mlx_convert.mapping import map_tensors
from magistral_mlx_convert.sources.huggingface import HuggingFaceFolder
from magistral_mlx_convert.sources.source import Source


def compare(
    source: Source,
    folder: Path,
    *,
    texts: Mapping[str, str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Runs source and result on the calibration set.

    Args:
        source: what was converted.
        folder: the result: config, index, weights and tekken.json.
        texts: language -> text; the bundled ones without it.
        progress: called with steps done and steps in all; a step is one layer of both models.

    Raises:
        ConversionError: a file can't be read, or the source is another model than the result.
        CheckpointError: a file of the result is damaged.
    """
    opened = HuggingFaceFolder(folder)
    try:
        config = parse_config(opened.config, file=str(folder / "config.json"))
        tokenizer = Tokenizer.from_file(folder / "tekken.json", _geometry(config))
        read = samples(tokenizer, seeing=config.vision is not None, texts=texts)
        with small_allocator_cache():
            return _compare(
                config,
                SourceWeights(source, map_tensors(config, source.tensors)),
                StoredWeights(opened, config),
                read,
                progress or _ignore,
            )
    finally:
        opened.close()


def _compare(
    config: ModelConfig,
    source: Weights,
    result: Weights,
    read: list[Sample],
    progress: Callable[[int, int], None],
) -> Comparison:
    layers = config.text.num_hidden_layers
    ours, theirs = StreamedModel(config, source), StreamedModel(config, result)
    progress(0, layers + 2)
    ours_states, theirs_states = ours.embed(read), theirs.embed(read)
    differences: list[float] = []
    for index in range(layers):
        progress(index + 1, layers + 2)
        ours_states, theirs_states = ours.layer(index, ours_states), theirs.layer(index, theirs_states)
        differences.append(_difference(ours_states, theirs_states, read))
    progress(layers + 1, layers + 2)
    places, targets, groups = _scored(read)
    divergence = diverge(
        ours.normalized(_picked(ours_states, places)),
        theirs.normalized(_picked(theirs_states, places)),
        ours.head(),
        theirs.head(),
        targets,
    )
    progress(layers + 2, layers + 2)
    of_group = {name: np.array([group == name for group in groups]) for name in dict.fromkeys(groups)}
    return Comparison(
        whole=figures_of(divergence, np.ones(len(groups), np.bool_)),
        groups={name: figures_of(divergence, chosen) for name, chosen in of_group.items()},
        layers=tuple(differences),
    )


def _scored(read: list[Sample]) -> tuple[mx.array, Integers, list[str]]:
    """Of each compared prediction: [sample, place], the token that really follows, the group."""
    places: list[tuple[int, int]] = []
    targets: list[int] = []
    groups: list[str] = []
    for number, sample in enumerate(read):
        for place in range(sample.scored_from, len(sample.token_ids)):
            places.append((number, place - 1))
            targets.append(sample.token_ids[place])
            groups.append(sample.group)
    return mx.array(places), np.array(targets, np.int64), groups


def _picked(states: mx.array, places: mx.array) -> mx.array:
    return states[places[:, 0], places[:, 1]]


def _difference(ours: mx.array, theirs: mx.array, read: list[Sample]) -> float:
    """Root mean square of what differs, over that of the source; what fills samples up does not count."""
    noise, signal = 0.0, 0.0
    for number, sample in enumerate(read):
        a, b = ours[number, : len(sample.token_ids)], theirs[number, : len(sample.token_ids)]
        noise += float(mx.sum(mx.square(a - b)))
        signal += float(mx.sum(mx.square(a)))
    return float(f"{(noise / signal) ** 0.5:.5g}") if signal else 0.0


def _geometry(config: ModelConfig) -> ImageGeometry | None:
    if config.vision is None:
        return None
    return ImageGeometry(
        patch_size=config.vision.patch_size,
        spatial_merge_size=config.spatial_merge_size,
        longest_edge=config.vision.image_size,
    )


def _ignore(_done: int, _total: int) -> None:
    pass
