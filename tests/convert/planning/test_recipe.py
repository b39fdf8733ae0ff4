"""Recipes: what is quantized, and which arguments contradict each other."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.magistral_shaped import CONFIG
from magistral_mlx.checkpoint.config import QUANTIZATION_MODES, ModelConfig, Quantization, parse_config
from magistral_mlx.checkpoint.parameters import VISION_PREFIXES, parameter_shapes
from magistral_mlx.errors import UsageError
from magistral_mlx_convert.planning.plan import make_plan
from magistral_mlx_convert.planning.recipe import NAMES, RETIRED, UNIFORM, Recipe, choose_recipe
from magistral_mlx_convert.planning.recipe_table import RECIPE_TABLE, recipe_table
from magistral_mlx_convert.sources.mapping import Parameter, map_tensors, source_names
from magistral_mlx_convert.sources.source import SourceTensor
from support.random_checkpoint import tiny_config


def packings(recipe: Recipe, config: ModelConfig | None = None) -> dict[str, Quantization]:
    """Path -> packing of everything that the recipe quantizes."""
    config = config or parse_config(tiny_config())
    chosen: dict[str, Quantization] = {}
    for name, shape in parameter_shapes(config).items():
        parameter = Parameter(name=name, shape=shape, source=SourceTensor(name, "BF16", shape, "f"))
        if (packing := recipe.packing_of(parameter, config)) is not None:
            chosen[parameter.path] = packing
    return chosen


def test_the_default_quantizes_every_text_matrix_and_nothing_else() -> None:
    recipe = choose_recipe()
    assert recipe.whole == Quantization(bits=4, group_size=64, mode="affine")
    assert (recipe.name, recipe.dtype) == ("4bit", "bfloat16")
    layer = "language_model.model.layers"
    assert set(packings(recipe)) == {
        "language_model.lm_head",
        "language_model.model.embed_tokens",
        *(f"{layer}.{n}.self_attn.{matrix}_proj" for n in range(2) for matrix in "qkvo"),
        *(f"{layer}.{n}.mlp.{matrix}_proj" for n in range(2) for matrix in ("gate", "up", "down")),
    }


def test_sixteen_bits_quantize_nothing() -> None:
    recipe = choose_recipe(bits=16, dtype="float32")
    assert recipe.whole is None
    assert recipe.name == "float32"
    assert packings(recipe) == {}


@pytest.mark.parametrize("name", UNIFORM)
def test_a_named_recipe_equals_its_numbers(name: str) -> None:
    numbers = UNIFORM[name]
    by_number = choose_recipe(bits=numbers.bits, group_size=numbers.group_size, mode=numbers.mode)
    by_name = choose_recipe(name)
    assert (by_number.name, by_number.whole) == (by_name.name, by_name.whole) == (name, numbers)


@pytest.mark.parametrize("name", RETIRED)
def test_a_retired_recipe_names_the_better_one(name: str) -> None:
    with pytest.raises(UsageError, match="retired") as refused:
        choose_recipe(name)
    assert RETIRED[name] in refused.value.remedy
    assert RETIRED[name] in NAMES


@pytest.mark.parametrize("name", [*NAMES, "vision"])
def test_the_vision_tower_stays_as_it_is_unless_it_is_asked_for(name: str) -> None:
    recipe = choose_recipe(vision_bits=8) if name == "vision" else choose_recipe(name)
    seeing = {path: packing for path, packing in packings(recipe).items() if path.startswith(VISION_PREFIXES)}
    if name != "vision":
        assert seeing == {}
        return
    assert recipe.name == "4bit-vision8"
    wanted = Quantization(bits=8, group_size=64, mode="affine")
    assert all(packing == wanted for packing in seeing.values())
    assert {path.rpartition(".")[2] for path in seeing} == {
        *("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        *("merging_layer", "linear_1", "linear_2"),
    }


def test_the_table_has_every_recipe_with_its_size() -> None:
    config = parse_config(CONFIG)
    tensors: dict[str, SourceTensor] = {}
    for target, shape in parameter_shapes(config).items():
        name = source_names(target)[0]
        stored = (shape[0], shape[3], *shape[1:3]) if len(shape) == 4 else shape
        tensors[name] = SourceTensor(name, "BF16", stored, "f")
    weights = map_tensors(config, tensors)
    sizes = {name: make_plan(config, weights, choose_recipe(name)).output_bytes for name in NAMES}
    assert {line.name: line.gb for line in RECIPE_TABLE} == {
        name: round(size / 1e9, 1) for name, size in sizes.items()
    }


def test_the_guide_shows_the_table() -> None:
    guide = (Path(__file__).parents[3] / "docs/recipes.md").read_text("utf-8")
    written = re.search(r"<!-- recipes -->\n(.*?)<!-- end of recipes -->", guide, re.DOTALL)
    assert written is not None
    assert written[1] == recipe_table()


@pytest.mark.parametrize(("mode", "expected"), [("affine", (4, 64)), ("mxfp4", (4, 32)), ("nvfp4", (4, 16))])
def test_a_mode_brings_its_own_numbers(mode: str, expected: tuple[int, int]) -> None:
    whole = choose_recipe(mode=mode).whole
    assert whole is not None
    assert (whole.bits, whole.group_size) == expected


@given(
    bits=st.none() | st.integers(-1, 20),
    group_size=st.none() | st.sampled_from([0, 8, 16, 32, 64, 128, 256]),
    mode=st.none() | st.sampled_from([*QUANTIZATION_MODES, "int4", ""]),
)
def test_numbers_give_a_packing_that_the_kernels_have_or_a_usage_error(
    bits: int | None, group_size: int | None, mode: str | None
) -> None:
    try:
        whole = choose_recipe(bits=bits, group_size=group_size, mode=mode).whole
    except UsageError:
        return  # which arguments are refused, with what remedy, the next test says
    if whole is None:
        assert (bits, group_size, mode) == (16, None, None)
        return
    widths, sizes = QUANTIZATION_MODES[whole.mode]
    assert whole.bits in widths
    assert whole.group_size in sizes
    assert bits in (None, whole.bits)
    assert group_size in (None, whole.group_size)
    assert whole.mode == (mode or "affine")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"bits": 7}, "no 7 bits"),
        ({"bits": 16, "mode": "affine"}, "16 bits"),
        ({"bits": 16, "group_size": 64}, "16 bits"),
        ({"mode": "mxfp4", "bits": 8}, "mxfp4 has no 8 bits"),
        ({"mode": "nvfp4", "group_size": 64}, "nvfp4 has no groups of 64"),
        ({"group_size": 48}, "no groups of 48"),
        ({"mode": "int4"}, "'int4' is not known"),
        ({"dtype": "float64"}, "'float64' is not known"),
        ({"name": "4bit", "bits": 4}, "already fixes"),
        ({"name": "best"}, "'best' is not known"),
        ({"vision_bits": 7}, "no 7 bits"),
        ({"bits": 16, "vision_bits": 8}, "16 bits keep the vision tower"),
    ],
)
def test_contradictions_are_usage_errors_with_a_remedy(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as caught:
        choose_recipe(**arguments)
    assert caught.value.remedy
