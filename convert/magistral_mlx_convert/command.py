"""`magistral convert`: the arguments, the progress on stderr, the finished folder on stdout."""

import argparse
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from magistral_mlx.errors import MagistralError
from magistral_mlx.storage.paths import typed_path
from magistral_mlx_convert.planning.recipe_table import RECIPE_TABLE
from magistral_mlx_convert.progress.events import Progress
from magistral_mlx_convert.publish.command import add_targets, check_targets, publish

SUMMARY = "convert a checkpoint to MLX (4 bits by default)"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `magistral convert`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _recipes()
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a folder (Hugging Face, Mistral's own, GGUF, MLX), a .gguf file, a hub id owner/name, "
        "kaggle:HANDLE, or the name of a model in LM Studio's folder or the hub's cache",
    )
    parser.add_argument("--to", metavar="DIR", required=True, help="the folder to make; it must not exist")
    parser.add_argument(
        "--bits", type=int, help="2, 3, 4 (default), 5, 6 or 8; 16 keeps the weights unquantized"
    )
    parser.add_argument(
        "--group-size", type=int, metavar="N", help="weights that share a scale: 32, 64 (default), 128"
    )
    parser.add_argument("--mode", help="affine (default), mxfp4, mxfp8 or nvfp4")
    parser.add_argument("--recipe", metavar="NAME", help="one of the recipes below, instead of these three")
    parser.add_argument(
        "--vision-bits",
        type=int,
        metavar="N",
        help="quantize the vision tower and the projector too (default: keep them)",
    )
    parser.add_argument(
        "--dtype",
        default="bfloat16",
        help="dtype of unquantized weights: bfloat16 (default), float16 or float32",
    )
    parser.add_argument("--revision", metavar="R", help="branch, tag or commit of a hub id")
    parser.add_argument("--tokenizer", metavar="FILE", help="a tekken.json for a source that lacks one")
    parser.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="continue an interrupted run (default), or start over and leave nothing behind",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="log for programs on stdout, one JSON object per line, instead of the folder's path",
    )
    parser.add_argument(
        "--keep-source",
        action="store_true",
        help="keep the weights of a hub id in the hub's cache instead of deleting each file after its use",
    )
    parser.add_argument(
        "--force", action="store_true", help="quantize a folder again that is quantized already"
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="compare source and result: every weight, and the model's predictions",
    )
    parser.add_argument(
        "--calibration",
        metavar="FILE",
        help="a UTF-8 text of your own that a calibrated recipe reads, instead of the bundled one",
    )
    add_targets(parser)


def _recipes() -> str:
    rows = [f"  {each.name:<10} {each.gb:5.1f}  {each.what}" for each in RECIPE_TABLE]
    fit = "  fit:GB            bits for each matrix by measured error, so that the folder fits a size"
    return "\n".join(["recipes, with the size of Magistral Small in GB:", *rows, fit])


def _converted(
    arguments: argparse.Namespace, *, show: Callable[[Progress], None], say: Callable[[str], None]
) -> Path:
    from magistral_mlx_convert.conversion import convert

    if _only_publishing_remains(arguments):
        say(f"{arguments.to} is complete, from the same source and recipe: it only remains to publish it")
        return typed_path(arguments.to).resolve()
    return convert(
        arguments.source,
        arguments.to,
        bits=arguments.bits,
        group_size=arguments.group_size,
        mode=arguments.mode,
        recipe=_recipe_of(arguments),
        dtype=arguments.dtype,
        vision_bits=arguments.vision_bits,
        revision=arguments.revision,
        tokenizer=arguments.tokenizer,
        resume=arguments.resume,
        keep_source=arguments.keep_source,
        force=arguments.force,
        report=arguments.report,
        calibration=arguments.calibration,
        progress=show,
    )


def _recipe_of(arguments: argparse.Namespace) -> str | None:
    """The recipe that the user named; `auto` where the user gave no recipe and no numbers."""
    from magistral_mlx_convert.planning.automatic import AUTOMATIC

    asked = (arguments.recipe, arguments.bits, arguments.group_size, arguments.mode, arguments.vision_bits)
    return AUTOMATIC if asked == (None,) * 5 else arguments.recipe


def _only_publishing_remains(arguments: argparse.Namespace) -> bool:
    """Tell if an earlier run of this command finished the target but not its publication."""
    if arguments.upload is None and arguments.lmstudio is None:
        return False
    from magistral_mlx_convert.planning.automatic import AUTOMATIC, CANDIDATES, PLAIN
    from magistral_mlx_convert.planning.recipe import choose_recipe
    from magistral_mlx_convert.publish.command import is_made_already

    asked = _recipe_of(arguments)
    names = (PLAIN, *CANDIDATES) if asked == AUTOMATIC else (asked,)
    recipes = [
        choose_recipe(
            name,
            bits=arguments.bits,
            group_size=arguments.group_size,
            mode=arguments.mode,
            dtype=arguments.dtype,
            vision_bits=arguments.vision_bits,
        )
        for name in names
    ]
    target = typed_path(arguments.to)
    return any(
        is_made_already(
            target, arguments.source, recipe, revision=arguments.revision, report=arguments.report
        )
        for recipe in recipes
    )


def run(arguments: argparse.Namespace) -> int:
    """Convert and print the finished folder; 130 on Ctrl-C, which keeps finished work for the next run."""
    check_targets(arguments)
    # Imported here: `magistral --help` must not load MLX.
    from magistral_mlx_convert.progress.json_log import JsonLog
    from magistral_mlx_convert.progress.line import ProgressLine
    from magistral_mlx_convert.report.files import report_summary

    log = JsonLog(sys.stdout) if arguments.json else None
    with ProgressLine(sys.stderr) as line:

        def show(event: Progress) -> None:
            line.show(event)
            if log is not None:
                log.show(event)

        try:
            folder = _converted(arguments, show=show, say=line.say)
        except KeyboardInterrupt:
            after = (
                "run the same command again to continue" if arguments.resume else "nothing was left behind"
            )
            line.say(f"Stopped; {after}.")
            if log is not None:
                log.interrupted()
            return 130
        except MagistralError as error:
            if log is not None:
                log.failed(error)
            raise
        if arguments.report:
            line.say(report_summary(folder))
        line.say(f"Done. Use it: magistral ask --model {shlex.quote(str(folder))} 'What is 47 + 38?'")
        if log is None:
            sys.stdout.write(f"{folder}\n")
            sys.stdout.flush()
        try:
            publish(folder, arguments, say=line.say)
        except MagistralError as error:
            again = f"Then: magistral models publish {shlex.quote(str(folder))} with the same options."
            failure = type(error)(f"{folder} is complete, but: {error.problem}", f"{error.remedy} {again}")
            if log is not None:
                log.failed(failure)
            raise failure from error
    if log is not None:
        log.done(folder)
    return 0
