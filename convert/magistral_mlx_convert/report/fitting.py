"""The recipe `fit:<GB>`: bits per matrix, chosen by measured error, so that the whole folder fits a size.

Every matrix of the text model gets 3 bits, and then the upgrade that lowers the summed error most per byte,
until the size is full. Where a matrix' upgrades pay less than a later one, they are taken as one step (the
lower convex hull of size and error), so that no choice has to be taken back.

A matrix adds its relative squared error times its weights, embedding and head 16 times that: what the one
writes every layer reads, and what the other gets wrong nothing after it can even out. A factor of 16 is worth
two bits, as hand-made mixtures give them. docs/experiments.md has what other weights did to the predictions.
"""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from magistral_mlx.checkpoint.config import ModelConfig, Quantization
from magistral_mlx.errors import ConversionError
from magistral_mlx.storage.units import format_disk
from magistral_mlx_convert.planning.packing_rules import Rule
from magistral_mlx_convert.planning.plan import Plan, make_plan
from magistral_mlx_convert.planning.recipe import Recipe
from magistral_mlx_convert.report.sampling_errors import SampledErrors
from magistral_mlx_convert.sources.mapping import Parameter, WeightMap
from magistral_mlx_convert.sources.source import Source

WIDTHS: tuple[Quantization, ...] = tuple(
    # Not 2: plain rounding to 2 bits changes weights by 40 %. Not 16: 8 bits change them by less than 1 %.
    Quantization(bits=bits, group_size=64, mode="affine")
    for bits in (3, 4, 5, 6, 8)
)

_ENDS = ("language_model.model.embed_tokens", "language_model.lm_head")
_WEIGHT_OF_ENDS = 16

Measure = Callable[[Parameter, Quantization], float]
"""Relative squared error of a parameter in a packing."""


def fitted_plan(plan: Plan, *, limit: int, source: Source, small_files: Callable[[Plan], int]) -> Plan:
    """`plan` with bits per matrix, for a folder of at most `limit` bytes; see `fitted`."""
    weights = WeightMap(parameters=tuple(unit.parameter for unit in plan.units), dropped={})
    measure = SampledErrors(source, weights, dtype=plan.recipe.dtype)
    recipe = fitted(plan.recipe, plan.config, weights, limit=limit, measure=measure, small_files=small_files)
    return make_plan(plan.config, weights, recipe)


@dataclass(frozen=True)
class _Choice:
    """`error`: what the matrix adds to the sum in that packing."""

    packing: Quantization
    nbytes: int
    error: float


def fitted(
    recipe: Recipe,
    config: ModelConfig,
    weights: WeightMap,
    *,
    limit: int,
    measure: Measure,
    small_files: Callable[[Plan], int],
) -> Recipe:
    """`recipe` with bits per matrix, for a folder of at most `limit` bytes.

    Args:
        recipe: decides on everything but the matrices of the text model.
        limit: bytes of the whole folder.
        measure: the error of a parameter in a packing.
        small_files: an upper bound for the bytes of everything that is not weights.

    Raises:
        ConversionError: not even 3 bits fit; the text names the smallest size.
    """

    def size(candidate: Recipe) -> int:
        plan = make_plan(config, weights, candidate)
        return plan.output_bytes + small_files(plan)

    matrices = [p for p in weights.parameters if _is_chosen(p, recipe, config)]
    smallest = _with_table(recipe, dict.fromkeys((p.path for p in matrices), WIDTHS[0]))
    least = size(smallest)
    if least > limit:
        raise ConversionError(
            f"A folder of {format_disk(limit)} can't be reached: with 3 bits it has {format_disk(least)}",
            f"Ask for fit:{_gigabytes(least)} or more; --vision-bits 8 makes it smaller.",
        )
    hulls = {each.path: _hull(_choices(each, config, weights, recipe, measure)) for each in matrices}
    spare = limit - least
    while True:
        candidate = _with_table(recipe, _spend(hulls, spare))
        over = size(candidate) - limit
        if over <= 0:
            return candidate
        spare -= over  # longer headers and exceptions in config.json; a few passes at most


def _is_chosen(parameter: Parameter, recipe: Recipe, config: ModelConfig) -> bool:
    return parameter.name.startswith("language_model.") and recipe.packing_of(parameter, config) is not None


def _choices(
    parameter: Parameter, config: ModelConfig, weights: WeightMap, recipe: Recipe, measure: Measure
) -> list[_Choice]:
    alone = replace(weights, parameters=(parameter,))
    weight = math.prod(parameter.shape) * (_WEIGHT_OF_ENDS if parameter.path in _ENDS else 1)
    found: list[_Choice] = []
    for packing in WIDTHS:
        (unit,) = make_plan(config, alone, _with_table(recipe, {parameter.path: packing})).units
        found.append(_Choice(packing, unit.output_bytes, weight * measure(parameter, packing)))
    return found


def _hull(choices: Sequence[_Choice]) -> list[_Choice]:
    """Those on the lower convex hull, smallest first: each step gains less per byte than the last."""
    hull: list[_Choice] = []
    for choice in sorted(choices, key=lambda each: (each.nbytes, each.error)):
        if hull and choice.error >= hull[-1].error:
            continue
        while len(hull) > 1 and _gain(hull[-2], hull[-1]) <= _gain(hull[-1], choice):
            hull.pop()
        hull.append(choice)
    return hull


def _gain(worse: _Choice, better: _Choice) -> float:
    return (worse.error - better.error) / (better.nbytes - worse.nbytes)


def _spend(hulls: Mapping[str, list[_Choice]], spare: int) -> dict[str, Quantization]:
    """The best steps first, as long as `spare` bytes last; a step that does not fit ends its matrix' turn."""
    at = dict.fromkeys(hulls, 0)
    steps = [
        (-_gain(hull[0], hull[1]), order, path)
        for order, (path, hull) in enumerate(hulls.items())
        if len(hull) > 1
    ]
    heapq.heapify(steps)
    while steps:
        _, order, path = heapq.heappop(steps)
        hull, now = hulls[path], at[path]
        cost = hull[now + 1].nbytes - hull[now].nbytes
        if cost > spare:
            continue
        spare -= cost
        at[path] = now + 1
        if now + 2 < len(hull):
            heapq.heappush(steps, (-_gain(hull[now + 1], hull[now + 2]), order, path))
    return {path: hull[at[path]].packing for path, hull in hulls.items()}


def _with_table(recipe: Recipe, table: Mapping[str, Quantization]) -> Recipe:
    """Return the packing of most matrices, which config.json names first."""
    (bits, _), *_ = Counter(packing.bits for packing in table.values()).most_common(1)
    whole = next(packing for packing in WIDTHS if packing.bits == bits)
    return replace(recipe, whole=whole, packing_of=_by_table(recipe.packing_of, table))


def _by_table(rule: Rule, table: Mapping[str, Quantization]) -> Rule:
    def chosen(parameter: Parameter, config: ModelConfig) -> Quantization | None:
        return table.get(parameter.path) or rule(parameter, config)

    return chosen


def _gigabytes(nbytes: int) -> str:
    """Rounded up, as `fit:` takes it."""
    digits = 2 if nbytes >= 10**9 else 5
    step = 10 ** (9 - digits)
    return f"{-(-nbytes // step) / 10**digits:g}"
