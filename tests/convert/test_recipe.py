"""Recipes: what is quantized, and which arguments contradict each other."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.errors import UsageError
from magistral_mlx.model_config import QUANTIZATION_MODES, Quantization, parse_config
from magistral_mlx.parameters import parameter_shapes
from magistral_mlx_convert.mapping import Parameter
from magistral_mlx_convert.recipe import UNIFORM, choose_recipe
from magistral_mlx_convert.sources.source import SourceTensor
from support.random_checkpoint import tiny_config


def parameters() -> list[Parameter]:
    shapes = parameter_shapes(parse_config(tiny_config()))
    return [
        Parameter(name=name, shape=shape, source=SourceTensor(name, "BF16", shape, "f"))
        for name, shape in shapes.items()
    ]


def test_the_default_quantizes_every_text_matrix_and_nothing_else() -> None:
    recipe = choose_recipe()
    assert recipe.whole == Quantization(bits=4, group_size=64, mode="affine")
    assert (recipe.name, recipe.dtype) == ("4bit", "bfloat16")
    quantized = {parameter.path for parameter in parameters() if recipe.packing_of(parameter) is not None}
    layer = "language_model.model.layers"
    assert quantized == {
        "language_model.lm_head",
        "language_model.model.embed_tokens",
        *(f"{layer}.{n}.self_attn.{matrix}_proj" for n in range(2) for matrix in "qkvo"),
        *(f"{layer}.{n}.mlp.{matrix}_proj" for n in range(2) for matrix in ("gate", "up", "down")),
    }


def test_sixteen_bits_quantize_nothing() -> None:
    recipe = choose_recipe(bits=16, dtype="float32")
    assert recipe.whole is None
    assert recipe.name == "float32"
    assert not [parameter for parameter in parameters() if recipe.packing_of(parameter)]


@pytest.mark.parametrize("name", UNIFORM)
def test_a_named_recipe_equals_its_numbers(name: str) -> None:
    numbers = UNIFORM[name]
    by_number = choose_recipe(bits=numbers.bits, group_size=numbers.group_size, mode=numbers.mode)
    by_name = choose_recipe(name)
    assert (by_number.name, by_number.whole) == (by_name.name, by_name.whole) == (name, numbers)


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
    ],
)
def test_contradictions_are_usage_errors_with_a_remedy(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as caught:
        choose_recipe(**arguments)
    assert caught.value.remedy
