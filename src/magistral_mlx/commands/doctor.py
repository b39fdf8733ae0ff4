"""`magistral doctor`: what this machine is, what is installed, what fits, and what to do about the rest."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from magistral_mlx.commands.checkup import Checkup, Model, check_up
from magistral_mlx.commands.console import Console

SUMMARY = "look at this machine: versions, memory, models, and what fits"
_LABEL_WIDTH = 12


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `magistral doctor`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print the checkup; 1 if something keeps the program from working at all."""
    console = Console.standard()
    found = check_up(console.environment)
    if arguments.json:
        console.result(json.dumps(asdict(found), ensure_ascii=False, indent=2) + "\n")
    else:
        _show(found, console)
    return 1 if found.broken else 0


def _show(found: Checkup, console: Console) -> None:
    console.heading("This machine")
    for label, text in (
        ("computer", found.machine),
        ("memory", found.memory),
        ("MLX", found.backend),
        ("versions", ", ".join(f"{name} {version}" for name, version in found.versions.items())),
        ("disk", found.disk),
        ("terminal", found.terminal),
    ):
        console.result(f"  {label.ljust(_LABEL_WIDTH)}{text}\n")
    console.result("\n")
    console.heading("Models, and the tokens of context that fit with a KV cache in 16, 8 and 4 bits")
    console.result(_table(found.models))
    console.result("\n")
    console.heading("What to do")
    for line in found.advice or ("Nothing: everything is as it should be.",):
        console.result(f"  * {line}\n")


def _table(models: Sequence[Model]) -> str:
    rows = [("MODEL", "WEIGHTS", "16 BITS", "8 BITS", "4 BITS", "VERDICT"), *map(_row, models)]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [[*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[5]] for row in rows]
    return "".join("  " + "  ".join(line) + "\n" for line in lines)


def _row(model: Model) -> tuple[str, str, str, str, str, str]:
    from magistral_mlx.memory import gib

    if model.weight_bytes is None:
        return model.name, "-", "-", "-", "-", model.verdict
    contexts = (f"{model.contexts[bits]:,}" for bits in ("16", "8", "4"))
    sixteen, eight, four = contexts
    return model.name, gib(model.weight_bytes), sixteen, eight, four, model.verdict
