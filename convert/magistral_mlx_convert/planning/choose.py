"""What is done with a source: its weights are packed by the recipe, or kept as another one packed them."""

from dataclasses import dataclass

from magistral_mlx.checkpoint.config import ModelConfig, parse_config
from magistral_mlx.errors import UsageError
from magistral_mlx_convert.planning.packing_rules import keep_everything
from magistral_mlx_convert.planning.plan import Plan, keep_plan, make_plan
from magistral_mlx_convert.planning.recipe import Recipe
from magistral_mlx_convert.sources.mapping import map_tensors
from magistral_mlx_convert.sources.mlx_folder import MlxFolder, UnpackedMlx
from magistral_mlx_convert.sources.source import Source


@dataclass(frozen=True)
class Treatment:
    """The decision: `source` is what rows are read from."""

    source: Source
    config: ModelConfig
    plan: Plan
    dropped: dict[str, str]
    name: str
    """What the result is called where nobody said."""
    notes: tuple[str, ...]


def treat(source: Source, recipe: Recipe, *, asked: bool, force: bool) -> Treatment:
    """Decides on every tensor.

    Args:
        source: as it was opened.
        recipe: how to pack.
        asked: whether somebody asked for it: bits, a recipe, or the like.
        force: pack anew what is packed already.

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
    plan = make_plan(config, weights, recipe)
    return Treatment(source, config, plan, dict(weights.dropped), f"{name}-{recipe.name}", notes)


def unpacked_source(source: Source) -> Source:
    """The same source with its weights as numbers, under the names that `mapping` knows."""
    return UnpackedMlx(source) if isinstance(source, MlxFolder) else source
