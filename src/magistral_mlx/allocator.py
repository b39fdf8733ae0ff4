"""How much memory MLX may keep for itself, and how running out of it shows.

The allocator keeps freed buffers for reuse. Without a limit that makes a small Mac swap; a fixed small limit
costs a large one a third of its speed: so the limit is a share of the machine's memory. The wired limit is
never touched: raising it is what made whole machines panic (ml-explore/mlx issue 3186).
"""

import mlx.core as mx
import psutil

_CACHE_SHARE = 16
_SMALLEST_CACHE = 256 * 2**20

_OUT_OF_MEMORY = (
    "unable to allocate",  # [malloc] and [metal::malloc]
    "attempting to allocate",  # [metal::malloc]: larger than the largest buffer
    "insufficient memory",  # Metal: a command buffer that could not get its memory
    "out of memory",  # Metal's kIOGPUCommandBufferCallbackErrorOutOfMemory in words, CUDA
    "outofmemory",
    "bad_alloc",
)


def allocator_cache_limit(total_bytes: int) -> int:
    """Bytes of freed buffers that MLX may keep on a machine of `total_bytes`: 1/16, at least 256 MB."""
    return max(total_bytes // _CACHE_SHARE, _SMALLEST_CACHE)


def limit_allocator_cache() -> None:
    """Sets MLX's cache limit for this machine."""
    mx.set_cache_limit(allocator_cache_limit(psutil.virtual_memory().total))


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error of MLX says that memory ran out; it has no class of its own for that."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _OUT_OF_MEMORY)
