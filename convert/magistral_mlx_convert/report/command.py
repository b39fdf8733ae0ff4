"""`magistral models report`: what a conversion changed, for a folder that was made without `--report`."""

import argparse
import json
import sys

from magistral_mlx.storage.atomic import replace_file
from magistral_mlx.storage.paths import typed_path

SUMMARY = "compare a converted folder with its source: weights and predictions"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `magistral models report`."""
    parser.add_argument(
        "folders",
        metavar="DIR",
        nargs="+",
        help="a folder written by magistral convert; of several, or of other converters' folders and GGUF "
        "files, the predictions are compared in one table",
    )
    parser.add_argument(
        "--source", metavar="SOURCE", required=True, help="what it was made from: a folder or a hub id"
    )
    parser.add_argument("--revision", metavar="R", help="branch, tag or commit of a hub id")
    parser.add_argument("--svg", metavar="FILE", help="with several: write a chart of their divergences")
    # Suppressed: a default here would undo `magistral models --json report`.
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object"
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints the figures; nothing is written."""
    from magistral_mlx.commands.console import Console
    from magistral_mlx_convert.progress.line import ProgressLine
    from magistral_mlx_convert.report.files import comparison_table, in_words, report_document
    from magistral_mlx_convert.report.later import report_on

    if len(arguments.folders) > 1 or arguments.svg is not None or not _is_ours(arguments.folders[0]):
        return _run_on_several(arguments)
    with ProgressLine(sys.stderr) as line:
        errors, comparison = report_on(
            typed_path(arguments.folders[0]),
            arguments.source,
            revision=arguments.revision,
            progress=line.show,
        )
    console = Console.standard()
    if arguments.json:
        console.result(json.dumps(report_document(errors, comparison), ensure_ascii=False, indent=2) + "\n")
        return 0
    kept = "The weights are not quantized."
    error = kept if errors.whole is None else f"The weights differ by {100 * errors.whole:.2f} %."
    console.result(f"{error}\n{in_words(comparison.whole)}\n\n{comparison_table(comparison)}\n")
    return 0


def _is_ours(folder: str) -> bool:
    """Whether `magistral convert` wrote it; everything that is no folder of another converter passes."""
    path = typed_path(folder)
    return not path.exists() or (path / "magistral-mlx.json").is_file()


def _run_on_several(arguments: argparse.Namespace) -> int:
    from magistral_mlx.commands.console import Console
    from magistral_mlx_convert.progress.line import ProgressLine
    from magistral_mlx_convert.report.several import compare_several, several_chart, several_table

    with ProgressLine(sys.stderr) as line:
        compared = compare_several(
            arguments.source, arguments.folders, revision=arguments.revision, progress=line.show
        )
    if arguments.svg is not None:
        replace_file(typed_path(arguments.svg), several_chart(compared).encode(), mode=0o644)
    console = Console.standard()
    if arguments.json:
        document = {"models": [each.to_json() for each in compared]}
        console.result(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
    else:
        console.result(several_table(compared) + "\n")
    return 0
