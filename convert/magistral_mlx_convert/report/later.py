"""A report on a folder that is there already: every weight and every prediction beside its source's."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import mlx.core as mx

from magistral_mlx.checkpoint.config import parse_config
from magistral_mlx.checkpoint.folder import open_checkpoint
from magistral_mlx_convert.planning.choose import unpacked_source
from magistral_mlx_convert.progress.events import Progress, Stage
from magistral_mlx_convert.report.compare import compare
from magistral_mlx_convert.report.errors import ErrorReport, summed_up
from magistral_mlx_convert.report.metrics import Comparison
from magistral_mlx_convert.report.weights import SourceWeights, StoredWeights, chunks
from magistral_mlx_convert.sources.huggingface import HuggingFaceFolder
from magistral_mlx_convert.sources.mapping import map_tensors
from magistral_mlx_convert.sources.opening import open_source
from magistral_mlx_convert.sources.source import Source
from magistral_mlx_convert.writing.journal import Errors
from magistral_mlx_convert.writing.kernel import small_allocator_cache


def report_on(
    folder: Path, source: str, *, revision: str | None, progress: Callable[[Progress], None]
) -> tuple[ErrorReport, Comparison]:
    """Reads both models once for their weights and once for their predictions; writes nothing but the cache.

    Args:
        folder: the converted folder.
        source: what it was made from, a folder or a hub id, whose files are then kept in the hub's cache.
        revision: of a hub id.

    Raises:
        CheckpointError: a folder is damaged.
        ConversionError: the source is another model, or can't be read.
        NetworkError: the hub did not answer.
    """
    open_checkpoint(folder)  # whole, or a line on what is wrong

    def tell(done: int, total: int) -> None:
        progress(Progress(stage=Stage.COMPARE, tensors_done=done, tensors_total=total))

    with tempfile.TemporaryDirectory(prefix="magistral-report-") as scratch:
        found = open_source(
            source, revision=revision, scratch=Path(scratch) / "source", keep_source=True, progress=progress
        )
        opened = unpacked_source(found)
        try:
            errors = weight_errors(opened, folder, progress=tell)
            return summed_up(errors), compare(opened, folder, progress=tell)
        finally:
            opened.close()


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
