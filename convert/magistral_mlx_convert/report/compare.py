"""The comparison in the order it happens: embed, each layer of both models, the head in pieces, figures."""

# pyright: reportUnknownMemberType=false
# Reason: mlx leaves *shape, *axes and *args of its array methods without types.

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
import numpy as np

from magistral_mlx.checkpoint.config import ModelConfig, parse_config
from magistral_mlx.prompt.images import ImageGeometry
from magistral_mlx.prompt.tokenizer import Tokenizer
from magistral_mlx_convert.report.calibration import Sample, batches, samples
from magistral_mlx_convert.report.divergence import Integers, diverge
from magistral_mlx_convert.report.metrics import Comparison, figures_of
from magistral_mlx_convert.report.streamed_model import StreamedModel
from magistral_mlx_convert.report.weights import SourceWeights, StoredWeights, Weights
from magistral_mlx_convert.sources.huggingface import HuggingFaceFolder
from magistral_mlx_convert.sources.mapping import map_tensors
from magistral_mlx_convert.sources.source import Source
from magistral_mlx_convert.writing.kernel import small_allocator_cache


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
        tokenizer = Tokenizer.from_file(folder / "tekken.json", image_geometry(config))
        read = samples(tokenizer, seeing=config.vision is not None, texts=texts)
        with small_allocator_cache():
            return compare_sides(
                Side(config, SourceWeights(source, map_tensors(config, source.tensors))),
                Side(config, StoredWeights(opened, config)),
                read,
                progress or _ignore,
            )
    finally:
        opened.close()


@dataclass(frozen=True)
class Side:
    """One of two models that are compared."""

    config: ModelConfig
    weights: Weights


def side_of(source: Source) -> Side:
    """A checkpoint of any kind as a side; MLX's packing must be undone before (`unpacked_source`)."""
    config = parse_config(source.config, file=f"config.json of {source.provenance.name}")
    return Side(config, SourceWeights(source, map_tensors(config, source.tensors)))


def compare_sides(
    source: Side, result: Side, read: list[Sample], progress: Callable[[int, int], None]
) -> Comparison:
    """Runs both models on the same prompts; see `compare`."""
    layers = source.config.text.num_hidden_layers
    ours, theirs = (StreamedModel(side.config, side.weights) for side in (source, result))
    cut = batches(read)
    progress(0, layers + 2)
    ours_states, theirs_states = [ours.embed(batch) for batch in cut], [theirs.embed(batch) for batch in cut]
    differences: list[float] = []
    for index in range(layers):
        progress(index + 1, layers + 2)
        ours.pass_layer(index, ours_states)
        theirs.pass_layer(index, theirs_states)
        differences.append(_difference(ours_states, theirs_states, cut))
    progress(layers + 1, layers + 2)
    targets, groups = _scored(read)
    divergence = diverge(
        _predicting(ours, ours_states, cut),
        _predicting(theirs, theirs_states, cut),
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


def _scored(read: list[Sample]) -> tuple[Integers, list[str]]:
    """Of each compared prediction: the token that really follows, the group."""
    targets = [token for sample in read for token in sample.token_ids[sample.scored_from :]]
    groups = [sample.group for sample in read for _ in sample.token_ids[sample.scored_from :]]
    return np.array(targets, np.int64), groups


def _predicting(model: StreamedModel, states: list[mx.array], cut: list[list[Sample]]) -> mx.array:
    """[predictions, hidden]: what the head reads for them. `states` is used up: there is no room for both."""
    picked: list[mx.array] = []
    for batch in cut:
        of_batch = states.pop(0)
        picked += [
            model.normalized(of_batch[number, sample.scored_from - 1 : len(sample.token_ids) - 1])
            for number, sample in enumerate(batch)
        ]
    joined = mx.concatenate(picked)
    mx.eval(joined)
    return joined


def _difference(ours: list[mx.array], theirs: list[mx.array], cut: list[list[Sample]]) -> float:
    """Root mean square of what differs, over that of the source; what fills samples up does not count."""
    noise, signal = 0.0, 0.0
    for a_batch, b_batch, batch in zip(ours, theirs, cut, strict=True):
        for number, sample in enumerate(batch):
            a, b = a_batch[number, : len(sample.token_ids)], b_batch[number, : len(sample.token_ids)]
            noise += float(mx.sum(mx.square(a - b)))
            signal += float(mx.sum(mx.square(a)))
    return float(f"{(noise / signal) ** 0.5:.5g}") if signal else 0.0


def image_geometry(config: ModelConfig) -> ImageGeometry | None:
    """How the model's vision tower cuts images; None for a model that cannot see."""
    if config.vision is None:
        return None
    return ImageGeometry(
        patch_size=config.vision.patch_size,
        spatial_merge_size=config.spatial_merge_size,
        longest_edge=config.vision.image_size,
    )


def _ignore(_done: int, _total: int) -> None:
    pass
