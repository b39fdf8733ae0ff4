"""The memory plan: the arithmetic of facts about Magistral Small, and the refusal that names alternatives."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.checkpoint import Checkpoint, open_checkpoint
from magistral_mlx.errors import MemoryLimitError
from magistral_mlx.memory import (
    GIB,
    MAC_SIZES,
    MAGISTRAL_SMALL_4BIT,
    Machine,
    ModelSize,
    check_before_loading,
    gib,
    memory_table,
    plan,
    size_of,
    this_machine,
)
from magistral_mlx.runtime import load
from support.random_checkpoint import write_converted

SMALL = MAGISTRAL_SMALL_4BIT


@pytest.mark.parametrize(("bits", "expected"), [(16, 163_840), (8, 87_040), (4, 46_080)])
def test_kv_bytes_per_token_of_magistral_small(bits: int, expected: int) -> None:
    assert SMALL.kv_bytes_per_token(bits) == expected


@pytest.mark.parametrize(
    ("limit_gib", "contexts"),
    [
        (16.0, (8_700, 16_000, 31_000)),
        (18.0, (21_800, 41_000, 77_000)),
        (64 / 3, (43_700, 82_000, 131_072)),
        (24.0, (61_000, 115_000, 131_072)),
        (27.0, (80_800, 131_072, 131_072)),
        (32.0, (113_000, 131_072, 131_072)),
    ],
)
def test_context_that_fits_agrees_with_figures_worked_out_by_hand(
    limit_gib: float, contexts: tuple[int, int, int]
) -> None:
    made = plan(SMALL, Machine(recommended_bytes=int(limit_gib * GIB)))
    assert made.fits
    for bits, expected in zip((16, 8, 4), contexts, strict=True):
        assert made.context(bits) == pytest.approx(expected, rel=0.03)


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
    size = ModelSize(weights, layers=40, kv_heads=8, head_dim=128, context_length=131_072)
    less, richer = plan(size, Machine(recommended_bytes=limit)), plan(size, Machine(total_bytes=limit + more))
    for bits in (16, 8, 4):
        assert less.context(bits) <= richer.context(bits)
    assert less.context(16) <= less.context(8) <= less.context(4)
    assert richer.fits or not less.fits


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
    idle = Machine(total_bytes=32 * GIB, recommended_bytes=24 * GIB, available_bytes=28 * GIB)
    assert not plan(SMALL, idle).tight


def test_the_table_has_every_mac_and_its_own_figures() -> None:
    lines = memory_table().splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {mac} GB" for mac in MAC_SIZES]
    assert lines[2] == "| 16 GB | 10.7 GB: does not fit | 12.0 GB: does not fit |"
    assert lines[5] == "| 32 GB | 21.3 GB: 43k / 82k / 131k | 24.0 GB: 61k / 115k / 131k |"
    assert lines[-1] == "| 128 GB | 85.3 GB: 131k, all of it | 96.0 GB: 131k, all of it |"


def test_sizes_for_people() -> None:
    assert gib(SMALL.weight_bytes) == "13.2 GB"
    assert gib(9 * 2**20) == "9 MB"


def test_this_machine_is_measured() -> None:
    machine = this_machine()
    assert machine.total_bytes
    assert machine.available_bytes
    assert machine.available_bytes < machine.total_bytes


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return open_checkpoint(write_converted(tmp_path_factory.mktemp("small") / "tiny", bits=4, shards=2))


def test_a_folder_is_measured_by_its_files(checkpoint: Checkpoint) -> None:
    size = size_of(checkpoint)
    assert size.weight_bytes == sum(path.stat().st_size for path in checkpoint.weight_files)
    assert (size.layers, size.kv_heads, size.head_dim, size.context_length) == (2, 2, 32, 4096)


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


def test_a_context_that_is_too_small_is_refused_with_its_size(checkpoint: Checkpoint) -> None:
    size = size_of(checkpoint)
    limit = size.weight_bytes + size.activation_bytes + 1000 * size.kv_bytes_per_token(16)
    with pytest.raises(MemoryLimitError, match="about 1,000 tokens of context") as refused:
        check_before_loading(checkpoint, machine=Machine(total_bytes=limit))
    assert "this machine has only" in refused.value.problem


def test_loading_asks_the_plan_first(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("magistral_mlx.memory.this_machine", lambda: Machine(total_bytes=10_000))
    with pytest.raises(MemoryLimitError, match="tiny needs about"):
        load(checkpoint.directory)


def test_planning_needs_no_mlx() -> None:
    code = "import sys, magistral_mlx.memory as p; p.memory_table(); assert 'mlx.core' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
