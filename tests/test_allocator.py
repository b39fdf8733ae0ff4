"""What MLX may keep, and how its running out of memory is recognized."""

import pytest

from magistral_mlx.allocator import allocator_cache_limit, is_out_of_memory

GB = 2**30


@pytest.mark.parametrize(("machine", "limit"), [(2, 0.25), (8, 0.5), (16, 1), (32, 2), (64, 4), (128, 8)])
def test_the_allocator_keeps_a_share_of_the_machine(machine: int, limit: float) -> None:
    assert allocator_cache_limit(machine * GB) == limit * GB


@pytest.mark.parametrize(
    "text",
    [
        "[malloc] Unable to allocate 17179869184 bytes.",
        "[metal::malloc] Attempting to allocate 209715200000 bytes which is greater than the maximum",
        "[METAL] Command buffer execution failed: Insufficient Memory (00000008:kIOGPU...)",
        "kIOGPUCommandBufferCallbackErrorOutOfMemory",
        "cudaMallocAsync(&data, size, stream) failed: out of memory",
        "std::bad_alloc",
    ],
)  # fmt: skip
def test_out_of_memory_is_known_by_its_words(text: str) -> None:
    assert is_out_of_memory(RuntimeError(text))


def test_other_errors_are_not_out_of_memory() -> None:
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("There is no Stream(gpu, 1) in current thread."))
