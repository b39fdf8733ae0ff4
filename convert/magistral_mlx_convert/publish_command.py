"""`magistral models publish`: a converted folder to the hub or into LM Studio; `convert` can end with it."""

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

from magistral_mlx.errors import UsageError
from magistral_mlx.places import typed_path

_TWO_PARTS = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

SUMMARY = "upload a converted folder to the hub, or place it in LM Studio"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `magistral models publish`."""
    parser.add_argument("folder", metavar="DIR", help="a folder written by magistral convert")
    add_targets(parser)


def add_targets(parser: argparse.ArgumentParser) -> None:
    """Adds where to publish; `magistral convert` takes the same."""
    parser.add_argument(
        "--upload", metavar="OWNER/NAME", help="upload the folder to this repository of the Hugging Face hub"
    )
    parser.add_argument(
        "--public", action="store_true", help="make a new repository public; it is private without it"
    )
    parser.add_argument(
        "--lmstudio",
        nargs="?",
        const="",
        metavar="PUBLISHER/NAME",
        help="place the folder where LM Studio finds it, with the tokenizer files that it needs",
    )


def check_targets(arguments: argparse.Namespace) -> None:
    """Refuses names that can't be before any work.

    Raises:
        UsageError: a name is not of two parts.
    """
    for flag, name in (("--upload", arguments.upload), ("--lmstudio", arguments.lmstudio)):
        if name and not _TWO_PARTS.fullmatch(name):
            raise UsageError(f"{name!r} is no name for {flag}", "Give two parts, such as me/magistral-4bit.")
    if arguments.public and not arguments.upload:
        raise UsageError("Nothing is uploaded that could be public", "Add --upload OWNER/NAME.")


def run(arguments: argparse.Namespace) -> int:
    """Publishes and prints where."""
    from magistral_mlx_convert.progress_line import ProgressLine

    check_targets(arguments)
    if arguments.upload is None and arguments.lmstudio is None:
        raise UsageError("Nothing says where to publish", "Give --upload OWNER/NAME, --lmstudio, or both.")
    with ProgressLine(sys.stderr) as line:
        publish(typed_path(arguments.folder), arguments, say=line.say)
    return 0


def publish(folder: Path, arguments: argparse.Namespace, *, say: Callable[[str], None]) -> None:
    """Does what the arguments of `add_targets` ask for, LM Studio first: it is quick and needs no network."""
    if arguments.lmstudio is not None:
        from magistral_mlx_convert.lmstudio.placing import place_in_lmstudio

        placed = place_in_lmstudio(folder, identifier=arguments.lmstudio or None)
        say(f"LM Studio finds it in {placed}")
    if arguments.upload is not None:
        from magistral_mlx_convert.hub_upload import upload_to_hub
        from magistral_mlx_convert.workplace import in_gb

        def tell(name: str, done: int, total: int) -> None:
            say(f"uploading {name}  {in_gb(done)} of {in_gb(total)} are there")

        address = upload_to_hub(folder, arguments.upload, public=arguments.public, progress=tell)
        say(f"Uploaded to {address}")
