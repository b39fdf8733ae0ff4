"""`magistral models`: what `--model` can name on this computer; its subcommands work on one of them."""

import argparse
import importlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from magistral_mlx.commands import models_verify
from magistral_mlx.commands.console import Console
from magistral_mlx.commands.main import Command, installed_commands
from magistral_mlx.errors import CheckpointError

if TYPE_CHECKING:
    from magistral_mlx.checkpoint.config import Quantization

SUMMARY = "list the installed models, or check, compare or publish one of them"

GROUP = "magistral_mlx.models_commands"
"""Entry points of further subcommands, in the form of `magistral_mlx.commands`."""


@dataclass(frozen=True)
class ListedModel:
    """One line of the list."""

    name: str
    path: str
    size_bytes: int
    quantization: str | None
    """In words; None: the weights are not quantized, or the folder is not usable."""
    vision: bool
    problem: str | None
    """Why the folder cannot be used; None when it can."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `magistral models` and of its subcommands."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    actions = parser.add_subparsers(metavar="[ACTION]", help="instead of the list:")
    for name, action in _actions().items():
        one = actions.add_parser(name, help=action.SUMMARY, description=action.SUMMARY, allow_abbrev=False)
        action.configure(one)
        one.set_defaults(action=action.run)


def _actions() -> dict[str, Command]:
    """Return the subcommands of `magistral models`: this package's and the converter's."""
    others = {name: importlib.import_module(module) for name, module in installed_commands(GROUP).items()}
    return {"verify": cast(Command, models_verify)} | cast(dict[str, Command], others)


def run(arguments: argparse.Namespace) -> int:
    """List the bundled miniature and every folder in the models directory, or run the subcommand."""
    action: Callable[[argparse.Namespace], int] | None = getattr(arguments, "action", None)
    return _list(arguments) if action is None else action(arguments)


def _list(arguments: argparse.Namespace) -> int:
    from magistral_mlx.checkpoint import installed
    from magistral_mlx.storage import paths

    models = [_bundled(), *(_describe(each.name, each.path) for each in installed.installed_models())]
    console = Console.standard()
    if arguments.json:
        listing = {"directory": str(paths.models_directory()), "models": [asdict(each) for each in models]}
        console.result(json.dumps(listing, ensure_ascii=False, indent=2) + "\n")
    else:
        console.result(_table(models))
        console.note(f"Installed models are the folders in {paths.models_directory()}.")
    return 0


def _bundled() -> ListedModel:
    from magistral_mlx.miniature import checkpoint_directory

    folder = checkpoint_directory()
    return ListedModel(
        name="miniature",
        path=str(folder),
        size_bytes=sum(file.stat().st_size for file in folder.glob("*.safetensors")),
        quantization="bundled, 4 bits from its first use on",
        vision=True,
        problem=None,
    )


def _describe(name: str, path: Path) -> ListedModel:
    from magistral_mlx.checkpoint.folder import open_checkpoint

    try:
        checkpoint = open_checkpoint(path)
    except CheckpointError as error:
        return ListedModel(name, str(path), 0, None, False, str(error))
    return ListedModel(
        name=name,
        path=str(path),
        size_bytes=sum(file.stat().st_size for file in checkpoint.weight_files),
        quantization=_in_words(checkpoint.config.quantization),
        vision=checkpoint.config.vision is not None,
        problem=None,
    )


def _in_words(quantization: "Quantization | None") -> str | None:
    if quantization is None:
        return None
    return f"{quantization.bits} bits, {quantization.mode}, group {quantization.group_size}"


def _table(models: Sequence[ListedModel]) -> str:
    rows = [("NAME", "SIZE", "WEIGHTS", "IMAGES", "FOLDER"), *map(_row, models)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [[*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]] for row in rows]
    return "".join("  ".join(line) + "\n" for line in lines)


def _row(model: ListedModel) -> tuple[str, str, str, str, str]:
    from magistral_mlx.storage.units import format_disk

    if model.problem:
        return model.name, "-", f"not usable: {model.problem}", "-", model.path
    images = "yes" if model.vision else "no"
    return (
        model.name,
        format_disk(model.size_bytes),
        model.quantization or "not quantized",
        images,
        model.path,
    )
