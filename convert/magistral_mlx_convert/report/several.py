"""Several conversions of one model beside each other: what each is off from the source, on the same texts.

Whoever made them: our folders, those of mlx-lm and mlx-vlm, GGUF files. Each is read row by row, as for one.
"""

import math
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from magistral_mlx.checkpoint.safetensors_header import ITEM_BYTES
from magistral_mlx.errors import ConversionError
from magistral_mlx.prompt.tokenizer import Tokenizer
from magistral_mlx.sanitize import sanitize_line
from magistral_mlx_convert.planning.choose import unpacked_source
from magistral_mlx_convert.progress.events import Progress, Stage
from magistral_mlx_convert.report.calibration import Sample, samples
from magistral_mlx_convert.report.charts import bar_chart
from magistral_mlx_convert.report.compare import Side, compare_sides, image_geometry, side_of
from magistral_mlx_convert.report.metrics import Comparison
from magistral_mlx_convert.sources.opening import open_source
from magistral_mlx_convert.sources.source import MadeFile, Source
from magistral_mlx_convert.writing.kernel import small_allocator_cache


@dataclass(frozen=True)
class Compared:
    """One conversion. `nbytes`: of its weights as they are stored."""

    name: str
    nbytes: int
    comparison: Comparison

    def to_json(self) -> dict[str, object]:
        return {"name": self.name, "bytes": self.nbytes, "comparison": self.comparison.to_json()}


def compare_several(
    source: str, folders: Sequence[str], *, revision: str | None, progress: Callable[[Progress], None]
) -> list[Compared]:
    """Compares each of `folders` with `source`, one after the other.

    Args:
        source: what they were made from, as `magistral convert` takes it.
        folders: as `magistral convert` takes a source.
        revision: of the source, where it is a hub id.
        progress: gets a step for each layer.

    Raises:
        CheckpointError: a file is damaged.
        ConversionError: one of them is another model than the source, or can't be read.
        NetworkError: the hub did not answer.
    """

    def tell(done: int, total: int) -> None:
        progress(Progress(stage=Stage.COMPARE, tensors_done=done, tensors_total=total))

    compared: list[Compared] = []
    with _opened(source, revision, progress) as original:
        ours = side_of(original)
        for folder in folders:
            with _opened(folder, None, progress) as other, small_allocator_cache():
                theirs = side_of(other)
                _check_same_model(ours, theirs, sanitize_line(folder))
                comparison = compare_sides(ours, theirs, _prompts(original, other, ours, theirs), tell)
                compared.append(Compared(Path(folder).name, _stored_bytes(other), comparison))
    return compared


def several_table(compared: Sequence[Compared]) -> str:
    """Size and figures of each in Markdown, and below it the mean divergence for each language and images."""
    rows = [
        f"| {sanitize_line(each.name)} | {each.nbytes / 1e9:.3f} | {whole.mean_kl:.4g} | {whole.kl_99:.3g} "
        f"| {100 * whole.same_top:.1f} % | {whole.result_perplexity:.4g} |"
        for each in compared
        for whole in (each.comparison.whole,)
    ]
    groups = list(dict.fromkeys(name for each in compared for name in each.comparison.groups))
    names = " | ".join(sanitize_line(each.name) for each in compared)
    by_group = [f"| {group} | {' | '.join(_mean_kl(each, group) for each in compared)} |" for group in groups]
    return "\n".join(
        [
            "| model | GB | mean KL | 99 % below | same top token | perplexity |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            f"| mean KL | {names} |",
            "|---" * (len(compared) + 1) + "|",
            *by_group,
        ]
    )


def several_chart(compared: Sequence[Compared]) -> str:
    """Their mean divergences as SVG."""
    values = {f"{each.name[:12]} {each.nbytes / 1e9:.1f}": each.comparison.whole.mean_kl for each in compared}
    return bar_chart("Mean KL divergence from the source; after each name its GB", values, unit="nats")


def _mean_kl(each: Compared, group: str) -> str:
    figures = each.comparison.groups.get(group)
    return f"{figures.mean_kl:.3g}" if figures else "-"


@contextmanager
def _opened(source: str, revision: str | None, progress: Callable[[Progress], None]) -> Generator[Source]:
    with tempfile.TemporaryDirectory(prefix="magistral-report-") as scratch:
        folder = Path(scratch) / "source"
        opened = unpacked_source(
            open_source(source, revision=revision, scratch=folder, keep_source=True, progress=progress)
        )
        try:
            yield opened
        finally:
            opened.close()


def _check_same_model(ours: Side, theirs: Side, name: str) -> None:
    if ours.config.text != theirs.config.text:
        raise ConversionError(
            f"{name} is not a conversion of the source: their text models have other dimensions",
            "Name the source that it was made from with --source.",
        )


def _prompts(original: Source, other: Source, ours: Side, theirs: Side) -> list[Sample]:
    """The same for all; images where both see."""
    given = original.tokenizer or other.tokenizer
    if given is None:
        raise ConversionError("The source holds no tekken.json", "Put the model's own beside its weights.")
    seeing = ours.config.vision is not None and theirs.config.vision is not None
    geometry = image_geometry(ours.config) if seeing else None
    if not isinstance(given, MadeFile):
        return samples(Tokenizer.from_file(given, geometry), seeing=seeing)
    with tempfile.TemporaryDirectory(prefix="magistral-report-") as folder:
        path = Path(folder) / "tekken.json"
        path.write_bytes(given.data)
        return samples(Tokenizer.from_file(path, geometry), seeing=seeing)


def _stored_bytes(source: Source) -> int:
    return sum(
        math.prod(tensor.shape) * ITEM_BYTES[tensor.dtype]
        if tensor.packed_bytes is None
        else tensor.packed_bytes
        for tensor in source.tensors.values()
    )
