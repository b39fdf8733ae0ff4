"""The error of every quantized weight of a finished folder, read back beside its source's."""

# pyright: reportUnknownMemberType=false
# Reason: mlx leaves *shape, *axes and *args of its array methods without types.

from collections.abc import Callable
from pathlib import Path

import mlx.core as mx

from magistral_mlx.model_config import parse_config
from magistral_mlx_convert.comparison.weights import SourceWeights, StoredWeights, chunks
from magistral_mlx_convert.journal import Errors
from magistral_mlx_convert.kernel import small_allocator_cache
from magistral_mlx_convert.mapping import map_tensors
from magistral_mlx_convert.sources.huggingface import HuggingFaceFolder
from magistral_mlx_convert.sources.source import Source


def weight_errors(
    source: Source, folder: Path, *, progress: Callable[[int, int], None] | None = None
) -> Errors:
    """Parameter -> squared error and squared weight, over all rows of what is quantized.

    Raises:
        ConversionError: a file can't be read, or the source is another model than the result.
    """
    opened = HuggingFaceFolder(folder)
    try:
        config = parse_config(opened.config, file=str(folder / "config.json"))
        ours = SourceWeights(source, map_tensors(config, source.tensors))
        theirs = StoredWeights(opened, config)
        names = [name for name in theirs.shapes if theirs.is_packed(name)]
        errors: dict[str, tuple[float, float]] = {}
        with small_allocator_cache():
            for number, name in enumerate(names):
                if progress is not None:
                    progress(number, len(names))
                noise = signal = 0.0
                for (_, exact), (_, stored) in zip(chunks(ours, name), chunks(theirs, name), strict=True):
                    noise += float(mx.sum(mx.square(stored - exact)))
                    signal += float(mx.sum(mx.square(exact)))
                errors[name] = noise, signal
        return errors
    finally:
        opened.close()
