"""A report on a folder that is there already: every weight and every prediction beside its source's."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from magistral_mlx.checkpoint import open_checkpoint
from magistral_mlx_convert.comparison.comparing import compare
from magistral_mlx_convert.comparison.errors import weight_errors
from magistral_mlx_convert.comparison.figures import Comparison
from magistral_mlx_convert.progress import Progress, Stage
from magistral_mlx_convert.report import ErrorReport, summed_up
from magistral_mlx_convert.sources.opening import open_source
from magistral_mlx_convert.treatment import unpacked_source


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
