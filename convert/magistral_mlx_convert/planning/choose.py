"""Decide whether to pack a source by the recipe or to keep its packing, and plan it."""

from collections import Counter
from dataclasses import dataclass, replace

from magistral_mlx.checkpoint.config import ModelConfig, parse_config
from magistral_mlx.errors import UsageError
from magistral_mlx_convert.planning.packing_rules import as_in_blocks, keep_everything
from magistral_mlx_convert.planning.plan import Plan, keep_plan, make_plan
from magistral_mlx_convert.planning.recipe import Recipe
from magistral_mlx_convert.sources.gguf.source import GGUFSource
from magistral_mlx_convert.sources.mapping import WeightMap, map_tensors
from magistral_mlx_convert.sources.mlx_folder import MlxFolder, UnpackedMlx
from magistral_mlx_convert.sources.source import Source


@dataclass(frozen=True)
class Treatment:
    """The decision; rows are read from `source`, which may wrap the opened one."""

    source: Source
    config: ModelConfig
    plan: Plan
    dropped: dict[str, str]
    name: str
    """The result's default name."""
    notes: tuple[str, ...]


def treat(source: Source, recipe: Recipe, *, asked: bool, force: bool) -> Treatment:
    """Decides on every tensor.

    Args:
        source: as it was opened.
        recipe: how to pack.
        asked: whether the user named bits, a recipe or the like; False for a default or automatic recipe.
        force: quantize again a source that is quantized already.

    Raises:
        UsageError: a packed source is to be packed anew without `force`; or the recipe does not fit.
        ConversionError: the tensors are not those of the model.
    """
    notes: tuple[str, ...] = ()
    name = source.provenance.name.rpartition("/")[2]
    if isinstance(source, MlxFolder):
        packed = source.parsed.quantization
        if packed is not None and not asked:
            kept = Recipe(
                name="kept",
                dtype=source.parsed.dtype or recipe.dtype,
                whole=packed,
                packing_of=keep_everything,
            )
            plan = keep_plan(source.parsed, source.tensors, kept)
            return Treatment(
                source, source.parsed, plan, {}, name, ("The packed weights are kept as they are",)
            )
        if packed is not None:
            if not force:
                raise UsageError(
                    f"{source.provenance.name} is packed in {packed.bits} bits already: packing it once more "
                    "loses more than packing the original",
                    "Leave the bits out to complete it as it is, convert the original, or add --force.",
                )
            notes = (
                f"The weights were packed in {packed.bits} bits already: what that lost stays lost, "
                "and packing them anew adds to it",
            )
        source = unpacked_source(source)
    config = parse_config(source.config, file=f"config.json of {source.provenance.name}")
    weights = map_tensors(config, source.tensors)
    if isinstance(source, GGUFSource) and not asked and (in_file := _as_in_file(weights, config, recipe)):
        plan = make_plan(config, weights, in_file)
        return Treatment(source, config, plan, dict(weights.dropped), name, (_codes_note(plan),))
    plan = make_plan(config, weights, recipe)
    return Treatment(source, config, plan, dict(weights.dropped), f"{name}-{recipe.name}", notes)


def _as_in_file(weights: WeightMap, config: ModelConfig, recipe: Recipe) -> Recipe | None:
    """The recipe that takes over a GGUF file's codes; None where the file is not quantized."""
    packings = [as_in_blocks(parameter, config) for parameter in weights.parameters]
    if not any(packings):
        return None
    (bits, _), *_ = Counter(packing.bits for packing in packings if packing).most_common(1)
    whole = next(packing for packing in packings if packing and packing.bits == bits)
    return replace(recipe, name="as-in-file", whole=whole, packing_of=as_in_blocks, keeps_codes=True,
                   calibrated=False)  # fmt: skip


def _codes_note(plan: Plan) -> str:
    """Say how many matrices keep the codes of a GGUF file."""
    matrices = [unit for unit in plan.units if unit.packing is not None]
    others = sum(unit.blocks is None for unit in matrices)
    kept = f"The file's own codes are kept in {len(matrices) - others} matrices"
    return f"{kept}; {others} of types that MLX lacks get 8 bits" if others else kept


def unpacked_source(source: Source) -> Source:
    """The same source with its weights as numbers, under the names that `mapping` knows."""
    return UnpackedMlx(source) if isinstance(source, MlxFolder) else source
