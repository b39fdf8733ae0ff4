"""The memory plan: the arithmetic of facts about Magistral Small, and the refusal that names alternatives."""

import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import mlx.core as mx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.api.memory_plan import MAC_SIZES, memory_table
from magistral_mlx.api.model import load
from magistral_mlx.checkpoint.folder import Checkpoint, open_checkpoint
from magistral_mlx.errors import MemoryLimitError
from magistral_mlx.generation.cache.prompt_cache import PromptCache
from magistral_mlx.generation.decode.prefill import PromptReader, prefill
from magistral_mlx.generation.loaded_model import open_model
from magistral_mlx.memory.admission import check_before_loading
from magistral_mlx.memory.sizes import (
    MAGISTRAL_SMALL_4BIT,
    OVERHEAD_BYTES,
    Machine,
    float_bytes_here,
    magistral_small,
    plan,
    size_of,
    this_machine,
)
from magistral_mlx.prompt.turns import PreparedPrompt
from magistral_mlx.storage.units import GIB, format_memory
from support.random_checkpoint import tiny_config, write_converted

SMALL = MAGISTRAL_SMALL_4BIT


@pytest.mark.parametrize(("bits", "expected"), [(16, 163_840), (8, 87_040), (4, 46_080)])
def test_kv_bytes_per_token_of_magistral_small(bits: int, expected: int) -> None:
    assert SMALL.kv_bytes_per_token(bits) == expected


@pytest.mark.parametrize("mac", MAC_SIZES)
@pytest.mark.parametrize("share", [2 / 3, 3 / 4])
def test_context_that_fits_agrees_with_figures_worked_out_by_hand(mac: int, share: float) -> None:
    """Weights 14.138e9 bytes, 0.75 GiB for the process, 0.51 GiB for an image of 1540 px, the rest is KV."""
    left = mac * GIB * share - 14.138e9 - 0.75 * GIB - 0.515 * GIB
    made = plan(SMALL, Machine(recommended_bytes=int(mac * GIB * share)))
    for bits, per_token in ((16, 163_840), (8, 87_040), (4, 46_080)):
        expected = min(max(left / per_token, 0), 131_072)
        assert made.context(bits) == pytest.approx(expected, rel=0.02, abs=2000)
    assert made.fits == (mac >= 24)


@pytest.mark.parametrize("limit_gib", [10.7, 12.0, 13.5])
def test_macs_of_16_and_18_gb_do_not_fit(limit_gib: float) -> None:
    made = plan(SMALL, Machine(recommended_bytes=int(limit_gib * GIB)))
    assert not made.fits
    assert made.context(4) == 0


@given(
    limit=st.integers(0, 200 * GIB),
    more=st.integers(0, 50 * GIB),
    weights=st.integers(1, 100 * GIB),
)
def test_more_memory_never_fits_less(limit: int, more: int, weights: int) -> None:
    size = replace(SMALL, weight_bytes=weights)
    less, richer = plan(size, Machine(recommended_bytes=limit)), plan(size, Machine(total_bytes=limit + more))
    for bits in (16, 8, 4):
        assert less.context(bits) <= richer.context(bits)
    assert less.context(16) <= less.context(8) <= less.context(4)
    assert richer.fits or not less.fits


@given(limit=st.integers(0, 200 * GIB), bits=st.sampled_from([16, 8, 4]))
def test_the_context_that_fits_is_the_longest_one(limit: int, bits: int) -> None:
    made = plan(SMALL, Machine(recommended_bytes=limit))
    tokens = made.context(bits)
    assert tokens == 0 or made.bytes_for(tokens, bits) <= limit
    assert tokens == SMALL.context_length or made.bytes_for(tokens + 1, bits) > limit


def test_an_unknown_machine_refuses_nothing() -> None:
    made = plan(SMALL, Machine())
    assert made.fits
    assert not made.tight
    assert made.context(16) == SMALL.context_length


def test_metal_counts_before_the_whole_memory() -> None:
    assert Machine(total_bytes=32 * GIB, recommended_bytes=21 * GIB).limit_bytes == 21 * GIB


def test_tight_when_other_programs_hold_the_memory() -> None:
    busy = Machine(total_bytes=32 * GIB, recommended_bytes=24 * GIB, available_bytes=8 * GIB)
    assert plan(SMALL, busy).tight
    swapless = Machine(total_bytes=32 * GIB, available_bytes=8 * GIB, swap_free_bytes=GIB)
    assert not plan(SMALL, swapless).fits
    idle = Machine(total_bytes=32 * GIB, recommended_bytes=24 * GIB, available_bytes=28 * GIB)
    assert not plan(SMALL, idle).tight


def test_the_table_has_every_mac_and_its_own_figures() -> None:
    lines = memory_table().splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {mac} GiB" for mac in MAC_SIZES]
    assert lines[2] == "| 16 GiB | 10.7 GiB: does not fit | 12.0 GiB: does not fit |"
    assert lines[5] == "| 32 GiB | 21.3 GiB: 45k / 85k / 131k | 24.0 GiB: 62k / 117k / 131k |"
    assert lines[-1] == "| 128 GiB | 85.3 GiB: 131k, all of it | 96.0 GiB: 131k, all of it |"


def test_magistral_small_takes_more_where_it_computes_in_float32() -> None:
    """A folder of the true shape took 15.36 GiB on the CPU."""
    assert magistral_small(2) == SMALL
    assert format_memory(magistral_small(4).weight_bytes) == "15.4 GiB"


def test_this_machine_is_measured() -> None:
    machine = this_machine()
    assert machine.total_bytes
    assert machine.available_bytes
    assert machine.available_bytes < machine.total_bytes


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return open_checkpoint(write_converted(tmp_path_factory.mktemp("small") / "tiny", bits=4, shards=2))


def test_a_folder_is_measured_by_its_tensors(checkpoint: Checkpoint) -> None:
    size = size_of(checkpoint)
    files = sum(path.stat().st_size for path in checkpoint.weight_files)
    assert 0.9 * files < size.weight_bytes < files  # without the headers
    assert size_of(checkpoint, float_bytes=4).weight_bytes > size.weight_bytes
    assert (size.layers, size.kv_heads, size.head_dim, size.context_length) == (2, 2, 32, 4096)


@pytest.mark.parametrize("kv_bits", [16, 8])
def test_a_real_run_takes_what_was_planned_within_10_percent(tmp_path: Path, kv_bits: int) -> None:
    """MLX's peak from before loading to after reading 300 tokens, in Magistral's proportions."""
    config = tiny_config(vision=False)
    config["text_config"] |= {
        "hidden_size": 320,
        "intermediate_size": 2048,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "head_dim": 64,
    }
    checkpoint = open_checkpoint(write_converted(tmp_path / "shaped", config=config, bits=8))
    mx.clear_cache()
    before = mx.get_active_memory()
    loaded = open_model(checkpoint.directory)
    mx.reset_peak_memory()
    ids = tuple(100 + place % 1000 for place in range(300))
    cache = PromptCache(loaded.model, kv_bits=kv_bits)
    reader = PromptReader(loaded.model, loaded.features, PreparedPrompt(ids), image_id=10)
    step_at = partial(loaded.prefill_step.at, kv_bits=kv_bits)
    for _ in prefill(loaded.model, cache, reader, ids, step_at=step_at):
        pass
    made = plan(loaded.size, Machine(), kv_bits=kv_bits)
    planned = made.bytes_for(300, kv_bits) - OVERHEAD_BYTES
    assert mx.get_peak_memory() - before == pytest.approx(planned, rel=0.1)


def test_a_model_that_fits_is_planned(checkpoint: Checkpoint) -> None:
    assert check_before_loading(checkpoint).fits


def test_a_model_that_cannot_fit_is_refused_with_alternatives(checkpoint: Checkpoint) -> None:
    weights = size_of(checkpoint).weight_bytes
    with pytest.raises(MemoryLimitError) as refused:
        check_before_loading(checkpoint, machine=Machine(recommended_bytes=weights // 2))
    assert "tiny needs about" in refused.value.problem
    assert "Metal recommends at most" in refused.value.problem
    assert "--bits 3" in refused.value.remedy
    assert "tokens of context" not in refused.value.remedy


def machine_for(checkpoint: Checkpoint, *, tokens: int, bits: int) -> Machine:
    """One on which exactly so many tokens fit."""
    size = size_of(checkpoint, float_bytes=float_bytes_here())
    return Machine(total_bytes=plan(size, Machine()).bytes_for(tokens, bits))


def test_a_context_that_is_too_small_is_refused_with_its_size(checkpoint: Checkpoint) -> None:
    machine = machine_for(checkpoint, tokens=900, bits=4)
    with pytest.raises(MemoryLimitError, match="with about 900 tokens of context") as refused:
        check_before_loading(checkpoint, kv_bits=4, machine=machine)
    assert "this machine has only" in refused.value.problem


def test_a_narrower_cache_is_proposed_where_it_is_enough(checkpoint: Checkpoint) -> None:
    machine = machine_for(checkpoint, tokens=4096, bits=8)
    with pytest.raises(MemoryLimitError, match=r"kv_bits=8 .* 4,096 tokens of context would fit"):
        check_before_loading(checkpoint, machine=machine)
    assert check_before_loading(checkpoint, kv_bits=8, machine=machine).fits


def test_where_swap_is_limited_what_is_free_counts(checkpoint: Checkpoint) -> None:
    busy = Machine(total_bytes=64 * GIB, available_bytes=10_000, swap_free_bytes=0, used_bytes=20_000)
    with pytest.raises(MemoryLimitError, match=r"but only 9\.8 KiB is free"):
        check_before_loading(checkpoint, machine=busy)


def test_loading_asks_the_plan_first(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("magistral_mlx.memory.admission.this_machine", lambda: Machine(total_bytes=10_000))
    with pytest.raises(MemoryLimitError, match="tiny needs about"):
        load(checkpoint.directory)


def test_planning_needs_no_mlx() -> None:
    code = (
        "import sys, magistral_mlx.api.memory_plan as p; "
        "p.memory_table(); assert 'mlx.core' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
