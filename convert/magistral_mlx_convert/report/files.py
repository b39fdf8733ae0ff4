"""Write a report: `report.json` for programs, two charts and a table for people."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from magistral_mlx_convert.report.charts import bar_chart, line_chart
from magistral_mlx_convert.report.errors import ErrorReport
from magistral_mlx_convert.report.metrics import Comparison, Figures
from magistral_mlx_convert.writing.side_files import to_json

REPORT_FILE = "report.json"
LAYERS_CHART = "report-layers.svg"
GROUPS_CHART = "report-languages.svg"


def report_document(errors: ErrorReport, comparison: Comparison) -> dict[str, object]:
    """Build the content of `report.json`, which `magistral models report --json` prints too."""
    return {
        "whole": errors.whole,
        "classes": dict(errors.per_class),
        "layers": list(errors.per_layer),
        "tensors": dict(errors.per_tensor),
        "comparison": comparison.to_json(),
    }


def report_files(errors: ErrorReport, comparison: Comparison) -> dict[str, bytes]:
    """Name -> content."""
    divergences = {name: figures.mean_kl for name, figures in comparison.groups.items()}
    series = {"hidden states": [100 * value for value in comparison.layers]}
    if errors.per_layer:
        series = {"weights": [100 * value for value in errors.per_layer]} | series
    layers = line_chart(
        "Relative error per layer: weights, and hidden states after the layer",
        series, unit="%", across="layer",
    )  # fmt: skip
    groups = bar_chart("Mean KL divergence of next-token predictions", divergences, unit="nats")
    return {
        REPORT_FILE: to_json(report_document(errors, comparison)),
        LAYERS_CHART: layers.encode(),
        GROUPS_CHART: groups.encode(),
    }


def report_summary(folder: Path) -> str:
    """Summarize the `report.json` of a converted folder in one line."""
    report = cast(dict[str, object], json.loads((folder / REPORT_FILE).read_bytes()))
    whole = cast("float | None", report["whole"])
    error = "nothing is quantized" if whole is None else f"weights differ by {100 * whole:.2f} %"
    comparison = cast(Mapping[str, object], report["comparison"])
    figures = Figures(**cast("dict[str, float]", comparison["whole"]))  # type: ignore[arg-type]  # our own file
    return f"Report: {error}; {in_words(figures)}; see {folder / REPORT_FILE}"


def in_words(figures: Figures) -> str:
    """Write the figures in one phrase."""
    return (
        f"mean KL divergence {figures.mean_kl:.3g} nats (99th percentile {figures.kl_99:.3g}), "
        f"the same top token in {100 * figures.same_top:.1f} %, "
        f"perplexity {figures.source_perplexity:.4g} became {figures.result_perplexity:.4g}"
    )


def comparison_table(comparison: Comparison) -> str:
    """Write every group's figures as a Markdown table."""
    rows = [
        f"| {name} | {each.source_perplexity:.4g} | {each.result_perplexity:.4g} | {each.mean_kl:.3g} "
        f"| {each.kl_99:.3g} | {100 * each.same_top:.1f} % |"
        for name, each in {**comparison.groups, "all": comparison.whole}.items()
    ]
    head = [
        "| text | perplexity, source | result | mean KL | 99 % below | same top token |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows])
