"""The models to pick from, each with a verdict about this machine's memory."""

from dataclasses import dataclass

from magistral_mlx.checkpoint import installed
from magistral_mlx.checkpoint.folder import open_checkpoint
from magistral_mlx.errors import CheckpointError
from magistral_mlx.machine.telemetry import Telemetry
from magistral_mlx.memory.sizes import Machine, Plan, plan, size_of
from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.storage.units import format_disk, format_memory


@dataclass(frozen=True)
class ModelChoice:
    """One model that the engine can be started with."""

    name: str
    """The name that the engine takes."""
    title: str
    """The name, safe for a screen."""
    detail: str
    """Size and quantization, or the reason why it is not usable."""
    verdict: str
    """Says if it fits; empty if unknown."""
    usable: bool
    """It can be started, or converted."""
    source: str = ""
    """The source to convert; empty: it is ready."""


def machine_of(telemetry: Telemetry) -> Machine:
    """This machine by the engine's figures."""
    return Machine(
        total_bytes=telemetry.total_bytes,
        recommended_bytes=telemetry.recommended_bytes,
        available_bytes=telemetry.available_bytes,
    )


def model_choices(machine: Machine) -> list[ModelChoice]:
    """List the installed models and the miniature; reads files, so call it in a thread."""
    ready = [_describe(each, machine) for each in installed.installed_models()]
    return [*ready, *map(_elsewhere, installed.found_elsewhere()), _miniature()]


def _elsewhere(found: tuple[str, str]) -> ModelChoice:
    name, place = (sanitize_line(each) for each in found)
    return ModelChoice(name, name, f"found in {place}", "Enter converts it", usable=True, source=found[0])


def _miniature() -> ModelChoice:
    return ModelChoice(
        installed.MINIATURE,
        installed.MINIATURE,
        "bundled",
        "fits; demo model, not Magistral Small",
        usable=True,
    )


def _describe(model: installed.InstalledModel, machine: Machine) -> ModelChoice:
    title = sanitize_line(model.name)
    try:
        checkpoint = open_checkpoint(model.path)
        made = plan(size_of(checkpoint), machine)
    except (CheckpointError, OSError) as error:
        return ModelChoice(model.name, title, sanitize_line(str(error)), "not usable", usable=False)
    quantization = checkpoint.config.quantization
    weights = "not quantized" if quantization is None else f"{quantization.bits} bits"
    eyes = "" if checkpoint.config.vision else ", text only"
    detail = f"{format_disk(made.size.weight_bytes)}, {weights}{eyes}"
    return ModelChoice(model.name, title, detail, verdict(made), usable=made.fits)


def verdict(made: Plan) -> str:
    """Say if a model fits, and with how much context."""
    context = f"{made.context(16):,} tokens of context"
    if not made.fits:
        limit = made.machine.limit_bytes or 0
        return f"does not fit: needs {format_memory(made.needed_bytes)}, limit {format_memory(limit)}"
    if made.tight:
        free = made.machine.available_bytes or 0
        return f"tight: only {format_memory(free)} is free; {context} if other apps free memory"
    return f"fits, {context}"
