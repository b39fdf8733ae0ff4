"""The whole conversion in order: lock, open, plan, check, stream, write small files, move to the target."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from magistral_mlx.checkpoint.manifest import sealed
from magistral_mlx.errors import ConversionError, UsageError
from magistral_mlx.machine.keep_awake import keep_awake
from magistral_mlx.storage.atomic import hash_file
from magistral_mlx.storage.paths import typed_path
from magistral_mlx_convert.planning.automatic import AUTOMATIC
from magistral_mlx_convert.planning.choose import treat, unpacked_source
from magistral_mlx_convert.planning.plan import Plan
from magistral_mlx_convert.planning.recipe import Recipe, choose_recipe
from magistral_mlx_convert.progress.events import Progress, Stage
from magistral_mlx_convert.quantize.calibration import (
    Calibration,
    calibrated_quantizer,
    prepare_calibration,
)
from magistral_mlx_convert.quantize.cost import calibration_cost
from magistral_mlx_convert.report.card import CARD_FILE, MANIFEST_FILE, manifest, model_card
from magistral_mlx_convert.report.errors import error_report
from magistral_mlx_convert.report.files import report_files
from magistral_mlx_convert.report.fitting import fitted_plan
from magistral_mlx_convert.report.metrics import Comparison
from magistral_mlx_convert.sources.opening import open_source
from magistral_mlx_convert.sources.source import Source
from magistral_mlx_convert.system import SPARE_BYTES
from magistral_mlx_convert.writing import journal
from magistral_mlx_convert.writing.journal import Progressed
from magistral_mlx_convert.writing.kernel import Quantize, SpoiledWeightsError, plainly_quantized
from magistral_mlx_convert.writing.preflight import preflight, recipe_for_this_machine
from magistral_mlx_convert.writing.resume import earlier_work
from magistral_mlx_convert.writing.shard_writer import explain_os_error
from magistral_mlx_convert.writing.side_files import (
    INDEX_FILE,
    SideFiles,
    converted_config,
    index,
    read_side_files,
    to_json,
)
from magistral_mlx_convert.writing.staging import Workplace, open_workplace
from magistral_mlx_convert.writing.stream import CHUNK_BYTES, stream

SAMPLED_ROWS = 64
"""Without `report`, the weight error is measured on every 64th row, which costs about 1 % of the time."""


def _ignore(_: Progress) -> None:
    pass


def convert(
    source: str | Path,
    to: str | Path,
    *,
    bits: int | None = None,
    group_size: int | None = None,
    mode: str | None = None,
    recipe: str | None = None,
    dtype: str = "bfloat16",
    vision_bits: int | None = None,
    revision: str | None = None,
    tokenizer: str | Path | None = None,
    name: str | None = None,
    resume: bool = True,
    keep_source: bool = False,
    force: bool = False,
    report: bool = False,
    calibration: str | Path | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Path:
    """Convert a checkpoint into a folder that this program, mlx-lm and mlx-vlm load.

    The folder appears whole or not at all. The same call continues an interrupted run; the result is
    the same to the byte.

    Args:
        source: a folder in the format of Hugging Face or Mistral, a GGUF file or a folder with one, an MLX
            conversion (which is completed, not packed anew), a hub id such as
            `mistralai/Magistral-Small-2509`, `kaggle:` and a handle, or the name of a model in LM Studio's
            folder or the hub's cache.
        to: the folder to make; it must not exist.
        bits: 4 without it; 16 keeps the weights unquantized in `dtype`.
        group_size: weights that share one scale; 64 without it, or what the mode fixes.
        mode: `affine` (default), `mxfp4`, `mxfp8` or `nvfp4`.
        recipe: a named recipe instead of the three numbers; `auto` chooses by this machine's memory.
        dtype: `bfloat16`, `float16` or `float32`, of everything that is not quantized.
        vision_bits: bits of the vision tower and the projector, which are not quantized without it.
        revision: branch, tag or commit of a hub id.
        tokenizer: a `tekken.json` for a source that lacks one.
        name: the model's name in the app and in lists; default: the source's name and the recipe.
        resume: False discards what an interrupted run had done, and leaves nothing when this one is
            interrupted.
        keep_source: keeps the weight files of a hub id in the hub library's cache; without it they come
            one at a time and go once they are used up. What the cache held before always stays.
        force: packs the weights of a folder anew that another conversion has packed already.
        report: measures the error of every weight instead of a sample, runs source and result on a
            calibration set and writes the figures into `report.json`, charts and the model card. A
            hub id's files are kept for it.
        calibration: a text of your own, UTF-8, for calibrated recipes; the bundled one without it.
        progress: called often; while a source is fetched, also from another thread.

    Returns:
        The folder's absolute path.

    Raises:
        UsageError: the arguments contradict each other.
        CheckpointError: the source is damaged.
        ConversionError: the source can't be converted, or the target can't be written.
        NetworkError: the hub did not answer.
    """
    tell = progress or _ignore
    automatic = recipe == AUTOMATIC
    if automatic and (bits, group_size, mode, vision_bits) != (None,) * 4:
        raise UsageError(
            "recipe 'auto' chooses bits, group size and mode itself",
            "Name a recipe, or leave the numbers out.",
        )
    chosen = choose_recipe(
        None if automatic else recipe,
        bits=bits,
        group_size=group_size,
        mode=mode,
        dtype=dtype,
        vision_bits=vision_bits,
    )
    with open_workplace(Path(to)) as workplace:
        if not resume:
            workplace.remove()
        open_it = partial(
            open_source,
            source,
            scratch=workplace.source,
            keep_source=keep_source or report,  # a report reads the source once more
            progress=tell,
        )
        opened = open_it(revision=revision)
        try:
            _begin(workplace)
            pinned = None if typed_path(source).exists() else opened.provenance.revision
            reopen = partial(open_it, revision=pinned) if report else None
            job = _prepare(
                opened,
                chosen,
                asked=not automatic and (recipe, bits, group_size, mode, vision_bits) != (None,) * 5,
                automatic=automatic,
                free_bytes=shutil.disk_usage(workplace.target.parent).free - SPARE_BYTES,
                force=force,
                tokenizer=tokenizer,
                name=name,
                reopen=reopen,
                calibration=Path(calibration) if calibration else None,
            )
            for note in job.notes:
                tell(Progress(stage=Stage.CONVERT, note=note))
            _run(job, workplace, resume=resume, progress=tell)
        finally:
            opened.close()
    return workplace.target


@dataclass(frozen=True)
class _Job:
    """Every decision, made before the first byte is written."""

    source: Source
    plan: Plan
    dropped: Mapping[str, str]
    side_files: SideFiles
    notes: tuple[str, ...]
    name: str
    reopen: Callable[[], Source] | None
    """Opens the source once more, for a report; None when none is wanted."""
    calibration: Calibration | None

    @property
    def measure_every(self) -> int:
        return 1 if self.reopen else SAMPLED_ROWS

    @property
    def measured_rows(self) -> str:
        return "every row" if self.reopen else f"every {SAMPLED_ROWS}th row"


def _prepare(
    source: Source,
    recipe: Recipe,
    *,
    asked: bool,
    automatic: bool,
    free_bytes: int,
    force: bool,
    tokenizer: str | Path | None,
    name: str | None,
    reopen: Callable[[], Source] | None,
    calibration: Path | None,
) -> _Job:
    treatment = treat(source, recipe, asked=asked, force=force)
    notes = treatment.notes
    if automatic and treatment.plan.recipe is recipe:
        choice = recipe_for_this_machine(treatment.plan, treatment.source, free_bytes)
        treatment = treat(source, choice.recipe, asked=asked, force=force)
        notes = (*treatment.notes, choice.note)
    side_files = read_side_files(
        treatment.source, treatment.config, tokenizer=Path(tokenizer) if tokenizer else None
    )
    plan = treatment.plan
    if calibration is not None and not plan.recipe.calibrated:
        raise UsageError(
            f"The recipe {plan.recipe.name} reads no text",
            "Leave the calibration text out, or take a calibrated recipe.",
        )
    if recipe.limit is not None:
        small = partial(_small_bytes, treatment.source, side_files, reports=reopen is not None)
        plan = fitted_plan(plan, limit=recipe.limit, source=treatment.source, small_files=small)
    return _Job(
        source=treatment.source,
        plan=plan,
        dropped=treatment.dropped,
        side_files=side_files,
        notes=(*source.notes, *notes, *side_files.notes),
        name=name or treatment.name,
        reopen=reopen,
        calibration=(
            prepare_calibration(calibration, treatment.config, side_files) if plan.recipe.calibrated else None
        ),
    )


def _small_bytes(source: Source, side_files: SideFiles, plan: Plan, *, reports: bool) -> int:
    """Upper bound on the bytes of all files but the weights."""
    exact = [*side_files.files.values(), to_json(converted_config(source.config, plan)), to_json(index(plan))]
    # Card and manifest are not written yet; a report has a line on each tensor, two charts and more figures.
    written_later = 32_000 + (64_000 + 160 * len(plan.units) if reports else 0)
    return sum(map(len, exact)) + written_later


def _begin(workplace: Workplace) -> None:
    try:
        workplace.begin()
    except OSError as error:
        raise ConversionError(*explain_os_error(error, workplace.model)) from error


def _run(job: _Job, workplace: Workplace, *, resume: bool, progress: Callable[[Progress], None]) -> None:
    try:
        identity = job.source.identity
        before = _preflight(job, workplace, identity=identity, progress=progress)
        with keep_awake():
            done = stream(
                job.plan,
                job.source,
                workplace.model,
                workplace.partial,
                before,
                measure_every=job.measure_every,
                progress=progress,
                quantize=_quantizer(job, workplace, progress),
            )
            if job.source.identity != identity:
                raise ConversionError(
                    f"{job.source.provenance.name} was changed while it was read",
                    "Run the same command again.",
                )
            total = job.plan.source_bytes
            progress(Progress(stage=Stage.PUBLISH, bytes_done=total, bytes_total=total))
            _write_small_files(job, workplace.model, done, progress)
            workplace.move_to_target()
    except OSError as error:
        raise ConversionError(*explain_os_error(error, workplace.model)) from error
    except SpoiledWeightsError:
        workplace.remove()
        raise
    finally:
        if not resume:
            workplace.remove()


def _quantizer(job: _Job, workplace: Workplace, progress: Callable[[Progress], None]) -> Quantize:
    if job.calibration is None:
        return plainly_quantized
    return calibrated_quantizer(job.calibration, job.plan, job.source, workplace.partial, progress)


def _preflight(
    job: _Job,
    workplace: Workplace,
    *,
    identity: tuple[tuple[str, int, int], ...],
    progress: Callable[[Progress], None],
) -> Progressed:
    """Check earlier work and report the job's needs; refuse it or make room. Return the earlier work."""

    def tell(note: str) -> None:
        progress(Progress(stage=Stage.CONVERT, note=note))

    wanted = journal.fingerprint(
        job.plan,
        identity,
        measure_every=job.measure_every,
        calibration=job.calibration.text.sha256 if job.calibration else None,
    )
    earlier = earlier_work(job.plan, workplace, fingerprint=wanted, tell=tell)
    cost = (
        calibration_cost(job.plan, job.calibration.tokens, chunk_bytes=CHUNK_BYTES)
        if job.calibration
        else None
    )
    needed = preflight(job.plan, job.source, workplace, earlier=earlier, calibration=cost)
    progress(Progress(stage=Stage.PREFLIGHT, facts=asdict(needed)))
    for line in needed.lines():
        progress(Progress(stage=Stage.PREFLIGHT, note=line))
    needed.check()
    if earlier.is_nothing:
        workplace.clear()
    return earlier.progressed


def _write_small_files(
    job: _Job, folder: Path, done: Progressed, progress: Callable[[Progress], None]
) -> None:
    errors = error_report(done)
    calibration = job.calibration.to_json() if job.calibration else None
    provenance = job.source.provenance
    files = dict(job.side_files.files)
    files["config.json"] = to_json(converted_config(job.source.config, job.plan))
    files[INDEX_FILE] = to_json(index(job.plan))
    # An earlier run that was killed here may have left small files that this run does not write.
    for path in folder.iterdir():
        if path.name not in done.finished:
            path.unlink()
    _write(folder, files)
    comparison = _compared(job.reopen, folder, progress) if job.reopen else None
    files |= report_files(errors, comparison) if comparison else {}
    card = model_card(
        job.plan,
        name=job.name,
        provenance=provenance,
        errors=errors,
        measured_rows=job.measured_rows,
        comparison=comparison,
        calibration=calibration,
    )
    files[CARD_FILE] = card.encode()
    _write(folder, files)
    hashes = {file: (len(data), hash_file(folder / file)) for file, data in files.items()}
    hashes |= {file: (shard.nbytes, shard.sha256) for file, shard in done.finished.items()}
    (folder / MANIFEST_FILE).write_bytes(
        to_json(
            sealed(
                manifest(
                    job.plan,
                    name=job.name,
                    provenance=provenance,
                    dropped=job.dropped,
                    errors=errors,
                    measured_rows=job.measured_rows,
                    comparison=comparison,
                    calibration=calibration,
                    files=hashes,
                )
            )
        )
    )


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for file, data in files.items():
        (folder / file).write_bytes(data)


def _compared(reopen: Callable[[], Source], folder: Path, progress: Callable[[Progress], None]) -> Comparison:
    """Run source and result on the same inputs, before the result moves to its target."""
    # Imported here: only a report needs the model.
    from magistral_mlx_convert.report.compare import compare

    def tell(done: int, total: int) -> None:
        progress(Progress(stage=Stage.COMPARE, tensors_done=done, tensors_total=total))

    source = unpacked_source(reopen())  # the stream has let go of its files
    try:
        return compare(source, folder, progress=tell)
    finally:
        source.close()
