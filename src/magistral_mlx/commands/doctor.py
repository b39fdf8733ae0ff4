"""`magistral doctor`: look at this machine. It loads MLX but no model and changes nothing."""

import argparse
import json
import os
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from magistral_mlx.commands.console import Console
from magistral_mlx.errors import CheckpointError

if TYPE_CHECKING:
    from magistral_mlx.memory.sizes import Machine, ModelSize


PACKAGES = ("magistral-mlx", "mlx", "mlx-lm", "mlx-vlm", "mistral-common", "textual")
_IMAGE_TERMINALS = ("kitty", "ghostty", "iterm", "wezterm", "sixel")


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model and how it fits."""

    name: str
    path: str | None
    """None: it is not installed."""
    weight_bytes: int | None
    """None: its folder is not usable."""
    contexts: Mapping[str, int]
    """Tokens of context that fit, by the bits of the KV cache."""
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Checkup:
    """Results of the checkup."""

    machine: str
    memory: str
    total_bytes: int | None
    recommended_bytes: int | None
    available_bytes: int | None
    backend: str
    versions: Mapping[str, str]
    disk: str
    disk_free_bytes: int
    terminal: str
    models: tuple[Model, ...]
    advice: tuple[str, ...]
    """What to do, most important first."""
    broken: bool
    """Something keeps the program from working at all."""


def check_up(environment: Mapping[str, str]) -> Checkup:
    """Look at this machine."""
    from magistral_mlx.memory.sizes import Machine
    from magistral_mlx.storage import paths
    from magistral_mlx.storage.units import format_disk

    backend, problem = _backend()
    machine = Machine() if problem else _this_machine()
    models = () if problem else _models(machine)
    folder, free = _disk(paths.models_directory())
    return Checkup(
        machine=_machine_words(),
        memory=_memory_words(machine),
        total_bytes=machine.total_bytes,
        recommended_bytes=machine.recommended_bytes,
        available_bytes=machine.available_bytes,
        backend=backend,
        versions={name: _version(name) for name in PACKAGES} | {"Python": platform.python_version()},
        disk=f"{format_disk(free)} free in {folder}",
        disk_free_bytes=free,
        terminal=_terminal_words(environment),
        models=models,
        advice=tuple(_advice(problem, machine, models, free, environment)),
        broken=problem is not None,
    )


def _backend() -> tuple[str, str | None]:
    """Return MLX's backend in words, and its problem or None."""
    try:
        import mlx.core as mx

        # The array is computed: a library that loads may still not work.
        ready = mx.array([2.0]).sum().item() == 2.0
    except (ImportError, RuntimeError, OSError) as error:
        return f"does not work ({error})", str(error)
    if not ready:
        return "computes wrongly", "its device gives wrong sums"
    name = mx.device_info().get("device_name") or mx.device_info().get("architecture") or "unknown"
    gpu = mx.default_device() == mx.Device(mx.gpu)
    kind = ("Metal" if mx.metal.is_available() else "CUDA") if gpu else "CPU"
    return f"{kind} on {name}, computing in {'bfloat16' if gpu else 'float32'}", None


def _this_machine() -> "Machine":
    from magistral_mlx.memory.sizes import this_machine

    return this_machine()


def _models(machine: "Machine") -> tuple[Model, ...]:
    from magistral_mlx.api.memory_plan import MAGISTRAL_SMALL, float_bytes_of
    from magistral_mlx.checkpoint import installed
    from magistral_mlx.checkpoint.folder import open_checkpoint
    from magistral_mlx.memory.sizes import magistral_small, size_of

    models: list[Model] = []
    for each in installed.installed_models():
        try:
            size = size_of(open_checkpoint(each.path), float_bytes=float_bytes_of(machine))
        except CheckpointError as error:
            models.append(
                Model(
                    name=each.name,
                    path=str(each.path),
                    weight_bytes=None,
                    contexts={},
                    verdict=f"not usable: {error}",
                )
            )
        else:
            models.append(_planned(each.name, str(each.path), size, machine))
    if not models:
        size = magistral_small(float_bytes_of(machine))
        models.append(_planned(f"{MAGISTRAL_SMALL} (not installed)", None, size, machine))
    return tuple(models)


def _planned(name: str, path: str | None, size: "ModelSize", machine: "Machine") -> Model:
    from magistral_mlx.api.memory_plan import plan_of

    made = plan_of(
        name, size, machine, images=() if size.vision is None else ((0, size.vision.most_patches),)
    )
    return Model(
        name=name,
        path=path,
        weight_bytes=size.weight_bytes,
        contexts={str(bits): tokens for bits, tokens in made.contexts.items()},
        verdict=made.verdict,
    )


def _advice(
    problem: str | None,
    machine: "Machine",
    models: tuple[Model, ...],
    free: int,
    environment: Mapping[str, str],
) -> list[str]:
    lines: list[str] = []
    if problem is not None:
        return [f"MLX does not work ({problem}). Install it again: pip install --force-reinstall mlx"]
    if sys.platform == "darwin" and machine.recommended_bytes is None:
        lines.append("MLX does not see Metal. Use a native Python for Apple silicon, not one under Rosetta.")
    if sys.platform == "darwin" and platform.machine() != "arm64":
        lines.append("This Python runs under Rosetta or on an Intel Mac; install an arm64 one.")
    broken = [model.name for model in models if model.weight_bytes is None]
    if broken:
        lines.append(f"Convert again or delete these unusable models: {', '.join(broken)}.")
    if all(model.path is None for model in models):
        lines += _how_to_get_one(models, free)
    installed = [model for model in models if model.path and model.weight_bytes is not None]
    lines += [_how_to_fit(model) for model in installed if model.verdict != "fits"]
    if environment.get("TERM") == "dumb":
        lines.append("This terminal cannot move its cursor: use `magistral ask`, not the app.")
    return lines


def _how_to_fit(model: Model) -> str:
    """Advise only a setting that the table shows as fitting."""
    from magistral_mlx.memory.sizes import USEFUL_CONTEXT

    if model.verdict.startswith("tight"):
        return f"Close other programs before you load {model.name}."
    for bits in ("8", "4"):
        if model.contexts[bits] >= USEFUL_CONTEXT:
            return f"Ask {model.name} with --kv-bits {bits}: {model.contexts[bits]:,} tokens of context fit."
    return (
        f"{model.name} is too large for this machine: convert with fewer bits (`magistral convert --bits 3`)."
    )


def _how_to_get_one(models: tuple[Model, ...], free: int) -> list[str]:
    from magistral_mlx.memory.sizes import MAGISTRAL_SMALL_DISK
    from magistral_mlx.storage.units import format_about

    lines: list[str] = []
    if any(model.verdict.startswith("does not fit") for model in models):
        lines.append(
            "Magistral Small in 4 bits is too large for this machine; the miniature works, and so may "
            "`magistral convert --bits 3`."
        )
    else:
        lines.append(
            "Get the real model: magistral convert mistralai/Magistral-Small-2509 --to ~/magistral-small-4bit"
        )
    if free < MAGISTRAL_SMALL_DISK:
        needed = format_about(MAGISTRAL_SMALL_DISK)
        lines.append(f"Free some disk first: download and conversion need {needed}.")
    return lines


def _machine_words() -> str:
    system = f"macOS {platform.mac_ver()[0]}" if sys.platform == "darwin" else platform.system()
    return f"{system} on {platform.machine()}, {os.cpu_count()} processors"


def _memory_words(machine: "Machine") -> str:
    from magistral_mlx.storage.units import format_memory

    parts = [
        f"{format_memory(size)} {words}"
        for size, words in (
            (machine.total_bytes, "in all"),
            (machine.recommended_bytes, "recommended by Metal for the GPU"),
            (machine.available_bytes, "free now"),
            (machine.swap_free_bytes, "of swap left"),
        )
        if size is not None
    ]
    return ", ".join(parts) or "not known"


def _disk(folder: Path) -> tuple[Path, int]:
    """Return the folder for models or its nearest existing parent, and the free bytes."""
    while not folder.exists():
        folder = folder.parent
    return folder, shutil.disk_usage(folder).free


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _terminal_words(environment: Mapping[str, str]) -> str:
    if not sys.stdout.isatty():
        return "none (the output goes to a file or a pipe)"
    size = shutil.get_terminal_size()
    name = environment.get("TERM_PROGRAM") or environment.get("TERM") or "unknown"
    true_colour = environment.get("COLORTERM") in ("truecolor", "24bit")
    colours = (
        "no colours (NO_COLOR)"
        if environment.get("NO_COLOR")
        else ("16 million colours" if true_colour else "256 colours or fewer")
    )
    words = f"{name} {environment.get('TERM', '')}".lower()
    images = ", shows images" if any(each in words for each in _IMAGE_TERMINALS) else ""
    return f"{name}, {size.columns} x {size.lines}, {colours}{images}"


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
    from magistral_mlx.storage.units import format_memory

    if model.weight_bytes is None:
        return model.name, "-", "-", "-", "-", model.verdict
    contexts = (f"{model.contexts[bits]:,}" for bits in ("16", "8", "4"))
    sixteen, eight, four = contexts
    return model.name, format_memory(model.weight_bytes), sixteen, eight, four, model.verdict
