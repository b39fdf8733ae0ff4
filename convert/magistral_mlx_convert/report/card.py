"""The model card (`README.md`) and the manifest (`magistral-mlx.json`) of a converted folder."""

from collections.abc import Mapping

from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.storage.units import format_disk
from magistral_mlx_convert.planning.plan import Plan
from magistral_mlx_convert.report.errors import ErrorReport
from magistral_mlx_convert.report.files import GROUPS_CHART, LAYERS_CHART, comparison_table, in_words
from magistral_mlx_convert.report.metrics import Comparison
from magistral_mlx_convert.sources.source import Provenance
from magistral_mlx_convert.writing.journal import FORMAT_VERSION
from magistral_mlx_convert.writing.kernel import backend, mlx_version

MANIFEST_FILE = "magistral-mlx.json"
CARD_FILE = "README.md"


def manifest(
    plan: Plan,
    *,
    name: str,
    provenance: Provenance,
    dropped: Mapping[str, str],
    errors: ErrorReport,
    measured_rows: str,
    comparison: Comparison | None,
    calibration: Mapping[str, object] | None,
    files: Mapping[str, tuple[int, str]],
) -> dict[str, object]:
    """Build the manifest, to check the folder or make it again. `files`: name -> bytes, SHA-256."""
    whole = plan.recipe.whole
    return {
        "format_version": FORMAT_VERSION,
        "name": name,
        "source": {"kind": provenance.kind, "name": provenance.name, "revision": provenance.revision},
        "recipe": {
            "name": plan.recipe.name,
            "dtype": plan.recipe.dtype,
            "bits": whole.bits if whole else None,
            "group_size": whole.group_size if whole else None,
            "mode": whole.mode if whole else None,
        },
        "calibration": dict(calibration) if calibration else None,
        "made_with": {"mlx": mlx_version(), "backend": backend()},
        "dropped_tensors": dict(dropped),
        "weight_error": {
            "measured_rows": measured_rows,
            "whole": errors.whole,
            "classes": dict(errors.per_class),
        },
        "comparison": comparison.to_json() if comparison else None,
        "files": {
            file: {"bytes": nbytes, "sha256": digest} for file, (nbytes, digest) in sorted(files.items())
        },
    }


def model_card(
    plan: Plan,
    *,
    name: str,
    provenance: Provenance,
    errors: ErrorReport,
    measured_rows: str,
    comparison: Comparison | None,
    calibration: Mapping[str, object] | None,
) -> str:
    """Write `README.md`: origin, recipe, and the measurements that were made or not."""
    parts = [
        _front_matter(provenance),
        f"# {sanitize_line(name)}\n",
        "Weights for [MLX](https://github.com/ml-explore/mlx), converted by magistral-mlx. "
        "magistral-mlx runs the folder whole; mlx-lm (text only) and mlx-vlm load the same weights.\n",
        _facts(plan, provenance, calibration),
        _errors(plan, errors, measured_rows),
        _answers(comparison),
    ]
    return "\n".join(part for part in parts if part)


def _front_matter(provenance: Provenance) -> str:
    lines = ["---", "library_name: mlx", "tags: [mlx, mistral3, magistral]"]
    if provenance.kind == "huggingface-hub":
        lines.insert(2, f"base_model: {provenance.name}")
    return "\n".join([*lines, "---", ""])


def _facts(plan: Plan, provenance: Provenance, calibration: Mapping[str, object] | None) -> str:
    whole = plan.recipe.whole
    kept = sum(unit.output_bytes for unit in plan.units if unit.packing is None)
    packed = sum(unit.output_bytes for unit in plan.units if unit.packing is not None)
    how = (
        f"{whole.bits} bits, groups of {whole.group_size}, {whole.mode}: {format_disk(packed)}"
        if whole
        else "nothing"
    )
    revision = f"revision {provenance.revision}" if provenance.revision else "revision not known"
    rows = [
        ("Source", f"{sanitize_line(provenance.name)}, {revision}"),
        ("Recipe", plan.recipe.name),
        ("Quantized", how),
        ("Kept", f"in {plan.recipe.dtype}: {format_disk(kept)}"),
        ("Size", f"{format_disk(plan.bytes_in_source)} became {format_disk(plan.output_bytes)}"),
        ("Made with", f"MLX {mlx_version()} on {backend()}"),
    ]
    if calibration:
        read = (
            f"{sanitize_line(str(calibration['text']))}: {calibration['tokens']} tokens, "
            f"{calibration['images']} images; the codes are those that change least of what the matrices "
            "give for them"
        )
        rows.insert(3, ("Calibrated on", read))
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows), ""])


def _errors(plan: Plan, errors: ErrorReport, measured_rows: str) -> str:
    head = "## What was measured\n\n"
    if errors.whole is None and plan.recipe.whole is not None:
        return head + "Nothing: the packed weights are those of the source, byte by byte.\n"
    if errors.whole is None:
        return (
            head + "Nothing is quantized, so that no weight error arises beyond the dtype's own rounding.\n"
        )
    rows = [f"| {name} | {100 * error:.2f} % |" for name, error in errors.per_class.items()]
    return (
        head
        + f"Relative error of the quantized weights, root mean square, {measured_rows}: "
        + f"{100 * errors.whole:.2f} % over all.\n\n"
        + "\n".join(["| weights | error |", "|---|---|", *rows])
        + "\n"
    )


def _answers(comparison: Comparison | None) -> str:
    benchmarks = "Published benchmark figures of the source are for its unquantized weights.\n"
    if comparison is None:
        return f"Not measured here: how much the answers change. {benchmarks}"
    return (
        "## How much the predictions change\n\n"
        "Source and result read the same texts and images, in float32. Over all tokens: "
        f"{in_words(comparison.whole)}.\n\n{comparison_table(comparison)}\n\n"
        f"![Error of each layer]({LAYERS_CHART})\n\n![Divergence for each language]({GROUPS_CHART})\n\n"
        f"{benchmarks}"
    )
