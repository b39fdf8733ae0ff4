"""`magistral models publish`: a converted folder to the hub or into LM Studio; `convert` can end with it."""

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

from magistral_mlx.checkpoint.folder import MANIFEST_FILE, read_json
from magistral_mlx.errors import CheckpointError, UsageError
from magistral_mlx.storage.paths import typed_path
from magistral_mlx_convert.planning.recipe import Recipe
from magistral_mlx_convert.sources.source import provenance_of

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
    """Refuse impossible names before any work.

    Raises:
        UsageError: a name is not of two parts.
    """
    for flag, name in (("--upload", arguments.upload), ("--lmstudio", arguments.lmstudio)):
        if name and not _TWO_PARTS.fullmatch(name):
            raise UsageError(
                f"{name!r} is not a valid name for {flag}", "Give two parts, such as me/magistral-4bit."
            )
    if arguments.public and not arguments.upload:
        raise UsageError("--public has no effect without an upload", "Add --upload OWNER/NAME.")


def run(arguments: argparse.Namespace) -> int:
    """Publish a folder and print where."""
    from magistral_mlx_convert.progress.line import ProgressLine

    check_targets(arguments)
    if arguments.upload is None and arguments.lmstudio is None:
        raise UsageError("No place to publish was given", "Give --upload OWNER/NAME, --lmstudio, or both.")
    with ProgressLine(sys.stderr) as line:
        publish(typed_path(arguments.folder), arguments, say=line.say)
    return 0


def publish(folder: Path, arguments: argparse.Namespace, *, say: Callable[[str], None]) -> None:
    """Does what the arguments of `add_targets` ask for, LM Studio first: it is quick and needs no network."""
    if arguments.lmstudio is not None:
        from magistral_mlx_convert.publish.lmstudio.placing import place_in_lmstudio

        placed = place_in_lmstudio(folder, identifier=arguments.lmstudio or None)
        say(f"Placed for LM Studio: {placed}")
    if arguments.upload is not None:
        from magistral_mlx.storage.units import format_disk
        from magistral_mlx_convert.publish.hub_upload import upload_to_hub

        def tell(name: str, done: int, total: int) -> None:
            say(f"uploading {name}  {format_disk(done)} of {format_disk(total)} sent")

        address = upload_to_hub(folder, arguments.upload, public=arguments.public, progress=tell)
        say(f"Uploaded to {address}")


_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def is_made_already(folder: Path, source: str, recipe: Recipe, *, revision: str | None, report: bool) -> bool:
    """Tell if the manifest of `folder` names this source and recipe.

    Args:
        folder: the target of a conversion.
        source: as the user named it: a folder, a hub id, or the like.
        recipe: what was asked for, or the default.
        revision: as it was asked for; only a commit is compared, as a branch may have moved since.
        report: whether the folder must hold a comparison with its source.
    """
    if not (folder / MANIFEST_FILE).is_file():
        return False
    try:
        manifest = read_json(folder / MANIFEST_FILE)
    except CheckpointError:
        return False
    made_from = cast(dict[str, object], manifest.get("source") or {})
    made_by = cast(dict[str, object], manifest.get("recipe") or {})
    commit = revision if revision and _COMMIT.fullmatch(revision) else None
    return (
        made_from.get("name") == _name(source)
        and commit in (None, made_from.get("revision"))
        and (made_by.get("name"), made_by.get("dtype")) == (recipe.name, recipe.dtype)
        and (not report or manifest.get("comparison") is not None)
    )


def _name(source: str) -> str | None:
    """Return the name that a manifest gives a folder or hub id; None for other sources, such as GGUF."""
    path = typed_path(source)
    if path.is_dir():
        return provenance_of(path, kind="").name
    return source if _HUB_ID.fullmatch(source) else None
