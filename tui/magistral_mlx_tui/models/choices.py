"""The models that can be taken right now, each with a verdict against this machine's memory."""

from dataclasses import dataclass

from magistral_mlx.checkpoint import installed
from magistral_mlx.checkpoint.folder import open_checkpoint
from magistral_mlx.errors import CheckpointError
from magistral_mlx.machine.telemetry import Telemetry
from magistral_mlx.memory.sizes import Machine, Plan, plan, size_of
from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.storage.units import format_bytes


@dataclass(frozen=True)
class ModelChoice:
    """One model that the engine can be started with."""

    name: str
    """What the engine is asked for."""
    title: str
    """The name, harmless for a screen."""
    detail: str
    """Size and quantization, or why it is not usable."""
    verdict: str
    """Whether it fits, in words; empty where nothing can be said."""
    usable: bool
    """Whether it can be started, or converted."""
    source: str = ""
    """What to convert to get it; empty: it is ready."""


def machine_of(telemetry: Telemetry) -> Machine:
    """What the engine's figures say about this machine."""
    return Machine(
        total_bytes=telemetry.total_bytes,
        recommended_bytes=telemetry.recommended_bytes,
        available_bytes=telemetry.available_bytes,
    )


def model_choices(machine: Machine) -> list[ModelChoice]:
    """The installed models by name, and the miniature; looks at files, so call it in a thread."""
    ready = [_describe(each, machine) for each in installed.installed_models()]
    return [*ready, *map(_elsewhere, installed.found_elsewhere()), _miniature()]


def _elsewhere(found: tuple[str, str]) -> ModelChoice:
    name, place = (sanitize_line(each) for each in found)
    return ModelChoice(name, name, f"found in {place}", "enter converts it", usable=True, source=found[0])


def _miniature() -> ModelChoice:
    return ModelChoice(
        installed.MINIATURE, installed.MINIATURE, "bundled", "fits; a toy, not Magistral Small", usable=True
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
    detail = f"{format_bytes(made.size.weight_bytes)}, {weights}{eyes}"
    return ModelChoice(model.name, title, detail, verdict(made), usable=made.fits)


def verdict(made: Plan) -> str:
    """Whether a model fits, with the context that it then has."""
    context = f"{made.context(16):,} tokens of context"
    if not made.fits:
        limit = made.machine.limit_bytes or 0
        return f"does not fit: needs {format_bytes(made.needed_bytes)} of {format_bytes(limit)}"
    if made.tight:
        free = made.machine.available_bytes or 0
        return f"tight: {format_bytes(free)} are free now; {context} once other programs give memory back"
    return f"fits, {context}"
