"""`magistral models verify`: every file of a converted folder against its manifest."""

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from magistral_mlx.commands.console import Console
from magistral_mlx.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

    from magistral_mlx.checkpoint.manifest import Verification

SUMMARY = "check every file of a converted folder against its manifest"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `magistral models verify`."""
    parser.add_argument("model", metavar="DIR", help="a converted folder, or the name of an installed model")
    # Suppressed: a default here would undo `magistral models --json verify`.
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object"
    )


def run(arguments: argparse.Namespace) -> int:
    """Read all files; name each that is not as it was written.

    Raises:
        CheckpointError: at least one is bad (exit code 1).
    """
    from magistral_mlx.checkpoint.manifest import verify_folder
    from magistral_mlx.storage.units import format_disk

    console = Console.standard()
    folder = _folder(arguments.model)

    def tell(name: str, done: int, total: int) -> None:
        console.progress(f"{name}  {100 * done // max(total, 1)} % of {format_disk(total)}")

    try:
        found = verify_folder(folder, progress=tell)
    finally:
        console.end_progress()
    if arguments.json:
        console.result(json.dumps(_as_json(folder, found), ensure_ascii=False, indent=2) + "\n")
    else:
        for each in found.bad:
            console.result(f"BAD  {each.name} {each.problem}\n")
    if found.bad:
        names = ", ".join(each.name for each in found.bad)
        raise CheckpointError(
            f"{len(found.bad)} of {found.files} files in {folder} have changed ({names})",
            "Convert the model again, or copy it again from an intact copy.",
        )
    if not arguments.json:
        console.result(f"All {found.files} files in {folder} are unchanged ({format_disk(found.bytes)}).\n")
    return 0


def _folder(model: str) -> "Path":
    """Resolve a name like `resolve`, but find a damaged installed folder too."""
    from magistral_mlx.checkpoint.installed import resolve
    from magistral_mlx.storage.paths import models_directory

    installed = models_directory() / model
    if installed.parent == models_directory() and installed.is_dir():
        return installed
    return resolve(model)


def _as_json(folder: "Path", found: "Verification") -> dict[str, object]:
    return {
        "path": str(folder),
        "files": found.files,
        "bytes": found.bytes,
        "bad": [asdict(each) for each in found.bad],
    }
