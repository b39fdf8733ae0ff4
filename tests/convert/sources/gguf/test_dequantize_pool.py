"""Rows unpacked in other processes: every type, any number of processes, and what happens when one dies."""

import os
import subprocess
import sys
from collections.abc import Iterator

import gguf
import numpy as np
import psutil
import pytest

from magistral_mlx.errors import ConversionError
from magistral_mlx_convert.sources.gguf import dequantize_pool
from magistral_mlx_convert.sources.gguf.dequantize_pool import DequantizePool
from magistral_mlx_convert.sources.gguf.header import TYPES, PackedType

BY_NAME = {kind.name: kind for kind in TYPES.values()}
PACKED = [kind.name for kind in TYPES.values() if kind.readable and not kind.plain]


@pytest.fixture(scope="module")
def pool() -> Iterator[DequantizePool]:
    with DequantizePool(2) as pool:
        yield pool


def packed_rows(kind: PackedType, rows: int, *, blocks: int = 3) -> np.ndarray:
    """Random bytes without large exponents, so that every scale is finite."""
    chance = np.random.default_rng(kind.code)
    return chance.integers(0, 0x40, (rows, blocks * kind.block_bytes), dtype=np.uint8)


def unpack(pool: DequantizePool, kind: PackedType, packed: np.ndarray) -> np.ndarray:
    numbers = packed.shape[1] // kind.block_bytes * kind.block_size
    into = bytearray(4 * packed.shape[0] * numbers)
    pool.unpack(memoryview(packed.tobytes()), memoryview(into), rows=packed.shape[0], kind=kind)
    return np.frombuffer(into, np.float32).reshape(packed.shape[0], numbers)


@pytest.mark.parametrize("name", PACKED)
def test_every_type_is_what_the_library_makes_of_it(
    pool: DequantizePool, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dequantize_pool, "SMALLEST_PART", 64)
    kind = BY_NAME[name]
    packed = packed_rows(kind, 37)
    wanted = gguf.quants.dequantize(packed, gguf.GGMLQuantizationType[name])
    assert np.isfinite(wanted).all()
    np.testing.assert_array_equal(unpack(pool, kind, packed), wanted)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_the_result_does_not_depend_on_the_number_of_processes(
    processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dequantize_pool, "SMALLEST_PART", 1)
    kind = BY_NAME["Q6_K"]
    packed = packed_rows(kind, 5)
    with DequantizePool(processes) as pool:
        unpacked = unpack(pool, kind, packed)
        assert len(pool._processes) == processes
    np.testing.assert_array_equal(unpacked, gguf.quants.dequantize(packed, gguf.GGMLQuantizationType.Q6_K))


def test_a_small_piece_starts_one_process() -> None:
    with DequantizePool(4) as pool:
        unpack(pool, BY_NAME["Q8_0"], packed_rows(BY_NAME["Q8_0"], 4))
        assert len(pool._processes) == 1


def test_a_type_that_the_library_cannot_unpack(pool: DequantizePool) -> None:
    kind = BY_NAME["Q8_K"]
    with pytest.raises(ConversionError, match="Q8_K can't be unpacked"):
        unpack(pool, kind, packed_rows(kind, 2))
    # The process lives on.
    unpack(pool, BY_NAME["Q8_0"], packed_rows(BY_NAME["Q8_0"], 2))


def test_a_process_that_dies_is_an_error() -> None:
    kind = BY_NAME["Q8_0"]
    with DequantizePool(1) as pool:
        unpack(pool, kind, packed_rows(kind, 2))
        (process,) = pool._processes
        process.kill()
        process.wait()
        with pytest.raises(ConversionError, match=r"A process that unpacks Q8_0 ended \(exit status -9\)"):
            unpack(pool, kind, packed_rows(kind, 2))


def test_closing_ends_the_processes() -> None:
    pool = DequantizePool(1)
    unpack(pool, BY_NAME["Q8_0"], packed_rows(BY_NAME["Q8_0"], 2))
    (process,) = pool._processes
    pool.close()
    assert process.returncode == 0
    assert not psutil.pid_exists(process.pid)


def test_ctrl_c_does_not_reach_them() -> None:
    with DequantizePool(1) as pool:
        unpack(pool, BY_NAME["Q8_0"], packed_rows(BY_NAME["Q8_0"], 2))
        (process,) = pool._processes
        assert os.getpgid(process.pid) != os.getpgid(0)


def test_no_process_outlives_a_parent_that_is_killed() -> None:
    program = """
import sys
from magistral_mlx_convert.sources.gguf.dequantize_pool import DequantizePool
from magistral_mlx_convert.sources.gguf.header import TYPES
pool = DequantizePool(1)
pool.unpack(memoryview(bytes(34)), memoryview(bytearray(128)), rows=1, kind=TYPES[8])
print(pool._processes[0].pid, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.wait()
        gone, alive = psutil.wait_procs([worker], timeout=120)
    assert gone == [worker]
    assert not alive
