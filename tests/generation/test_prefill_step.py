"""The prefill step: by machine, shrinking with the context, bounded on the CPU."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.magistral_shaped import CONFIG
from magistral_mlx.generation.prefill_step import SMALLEST, PrefillStep, half_at, prefill_step
from magistral_mlx.model_config import parse_config

MAGISTRAL = parse_config(CONFIG).text


def on_metal(architecture: str) -> PrefillStep:
    return prefill_step(MAGISTRAL, {"architecture": architecture}, gpu=True)


def test_attention_weighs_as_much_as_the_rest_at_68_000_tokens() -> None:
    # 2 x 555.7 million weights a layer against 4 x 32 heads x 128 operations for each token of context.
    assert half_at(MAGISTRAL) == 67_840


@pytest.mark.parametrize(
    ("architecture", "steps"),
    [
        ("applegpu_g13g", (512, 448, 304, 160)),
        ("applegpu_g14s", (1024, 912, 624, 336)),
        ("applegpu_g15d", (2048, 1824, 1264, 688)),
        ("applegpu_g99x", (512, 448, 304, 160)),
    ],
)
def test_by_machine_and_context(architecture: str, steps: tuple[int, ...]) -> None:
    rule = on_metal(architecture)
    assert tuple(rule.at(context) for context in (0, 8192, 43_000, 131_072)) == pytest.approx(steps, abs=16)


@given(st.integers(0, 131_072))
def test_a_piece_takes_no_longer_than_the_first_wherever_it_stands(context: int) -> None:
    rule = on_metal("applegpu_g14s")
    assert rule.at(context) * (1 + context / rule.half_at) <= rule.full


@given(context=st.integers(0, 200_000), more=st.integers(0, 100_000), gpu=st.booleans())
def test_it_never_grows_and_never_stops(context: int, more: int, gpu: bool) -> None:
    rule = prefill_step(MAGISTRAL, {}, gpu=gpu)
    assert SMALLEST <= rule.at(context + more) <= rule.at(context) <= rule.full


@given(st.integers(0, 131_072))
def test_on_the_cpu_scores_take_what_a_full_step_takes_at_2048(context: int) -> None:
    rule = prefill_step(MAGISTRAL, {}, gpu=False)
    step = rule.at(context)
    assert step * (context + step) <= 512 * 2048 or step == SMALLEST


def test_after_a_fault_it_is_a_quarter_until_it_is_the_smallest() -> None:
    rule: PrefillStep | None = on_metal("applegpu_g14s")
    sizes: list[int] = []
    while rule is not None:
        sizes.append(rule.full)
        rule = rule.smaller()
    assert sizes == [1024, 256, 64, 32]
