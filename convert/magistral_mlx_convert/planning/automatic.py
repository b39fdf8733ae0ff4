"""The recipe for this machine, where nobody asked for one: the most exact that its memory holds at ease."""

from collections.abc import Callable
from dataclasses import dataclass

from magistral_mlx.storage.units import format_disk, format_installed
from magistral_mlx_convert.planning.recipe import Recipe, choose_recipe

AUTOMATIC = "auto"
"""Instead of a recipe's name."""

CANDIDATES = ("calibrated-4bit-g32", "calibrated-4bit", "calibrated-3bit-g32")
"""From the most exact to the smallest; those that were measured on trained weights (docs/experiments.md)."""

PLAIN = "4bit"
"""Without a GPU, where a calibration of the real model takes many hours."""

SHARE = 0.6
"""Of memory, for weights: the rest is for context, images, the system and other programs."""


@dataclass(frozen=True)
class Choice:
    """A recipe and the line that says why."""

    recipe: Recipe
    note: str


def automatic_recipe(
    weight_bytes: Callable[[Recipe], int],
    *,
    dtype: str,
    has_gpu: bool,
    memory_bytes: int | None,
    has_room: Callable[[Recipe], bool],
) -> Choice:
    """The recipe for a machine.

    Args:
        weight_bytes: what the model takes in a recipe.
        dtype: as `choose_recipe` takes it.
        has_gpu: whether MLX computes on one.
        memory_bytes: of the machine; None where it is not known.
        has_room: whether the disk holds what a recipe needs. A calibration needs the whole source at once.
    """
    if not has_gpu:
        recipe = choose_recipe(PLAIN, dtype=dtype)
        return Choice(
            recipe, f"Recipe {PLAIN}: without a GPU a calibrated one takes long; ask for it by name"
        )
    if memory_bytes is None:
        name = "calibrated-4bit"
        return Choice(choose_recipe(name, dtype=dtype), f"Recipe {name}: this machine's memory is not known")
    sizes = {name: weight_bytes(choose_recipe(name, dtype=dtype)) for name in CANDIDATES}
    name = next((name for name in CANDIDATES if sizes[name] <= SHARE * memory_bytes), CANDIDATES[-1])
    size, recipe = sizes[name], choose_recipe(name, dtype=dtype)
    if not has_room(recipe):
        plain = choose_recipe(PLAIN, dtype=dtype)
        return Choice(plain, f"Recipe {PLAIN}: the disk has no room for the whole source, which {name} needs")
    tight = "" if size <= SHARE * memory_bytes else ", tight"
    return Choice(
        recipe,
        f"Recipe {name}: {format_disk(size)} of weights for this machine's {format_installed(memory_bytes)} "
        f"of memory{tight}; --recipe chooses another",
    )
