"""`magistral models report`: what a conversion changed, for a folder that was made without `--report`."""

import argparse
import json
import sys

from magistral_mlx.storage.paths import typed_path

SUMMARY = "compare a converted folder with its source: weights and predictions"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `magistral models report`."""
    parser.add_argument("folder", metavar="DIR", help="a folder written by magistral convert")
    parser.add_argument(
        "--source", metavar="SOURCE", required=True, help="what it was made from: a folder or a hub id"
    )
    parser.add_argument("--revision", metavar="R", help="branch, tag or commit of a hub id")
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

    with ProgressLine(sys.stderr) as line:
        errors, comparison = report_on(
            typed_path(arguments.folder),
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
