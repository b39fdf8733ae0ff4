"""The prefill step: by machine, shrinking with the context, bounded by memory on the CPU."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.magistral_shaped import CONFIG
from magistral_mlx.checkpoint.config import parse_config
from magistral_mlx.generation.decode.prefill_step import PrefillStep, half_at, prefill_step
from magistral_mlx.memory.activations import SMALLEST_STEP
from magistral_mlx.memory.sizes import MAGISTRAL_SMALL_4BIT

MAGISTRAL = parse_config(CONFIG).text
BITS = st.sampled_from([16, 8, 4])


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


@given(context=st.integers(0, 200_000), more=st.integers(0, 100_000), gpu=st.booleans(), kv_bits=BITS)
def test_it_never_grows_and_never_stops(context: int, more: int, gpu: bool, kv_bits: int) -> None:
    rule = prefill_step(MAGISTRAL, {}, gpu=gpu)
    later, earlier = (rule.at(place, kv_bits=kv_bits) for place in (context + more, context))
    assert SMALLEST_STEP <= later <= earlier <= rule.full


@given(context=st.integers(1536, 16_384), kv_bits=BITS)
def test_on_the_cpu_a_chunk_takes_what_a_full_one_takes_at_2048(context: int, kv_bits: int) -> None:
    """Foreseen, within 5 %; tests/reliability/test_memory_and_gpu_faults.py measures it."""
    rule = prefill_step(MAGISTRAL, {}, gpu=False)
    step = rule.at(context, kv_bits=kv_bits)
    assert rule.memory is not None
    full = rule.memory.peak(512, 2048, kv_bits=kv_bits)
    assert 0.95 * full < rule.memory.peak(step, context + step, kv_bits=kv_bits) <= full


@given(held=st.integers(0, 131_072), kv_bits=BITS)
def test_on_the_cpu_the_plan_foresees_every_chunk(held: int, kv_bits: int) -> None:
    rule = prefill_step(MAGISTRAL, {}, gpu=False)
    size = replace(MAGISTRAL_SMALL_4BIT, float_bytes=4)
    assert rule.memory == size.chunk
    step = rule.at(held, kv_bits=kv_bits)
    peak = size.chunk.peak(step, held + step, kv_bits=kv_bits)
    assert peak <= size.prefill_bytes(held + step, kv_bits)


def test_after_a_fault_it_is_a_quarter_until_it_is_the_smallest() -> None:
    rule: PrefillStep | None = on_metal("applegpu_g14s")
    sizes: list[int] = []
    while rule is not None:
        sizes.append(rule.full)
        rule = rule.smaller()
    assert sizes == [1024, 256, 64, 32]
