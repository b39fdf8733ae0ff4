"""How much memory MLX's allocator may use and keep: limits that scale with the machine.

* **Cache** (freed buffers kept for reuse). Without a limit that makes a small Mac swap; a fixed small limit
  costs a large one a third of its speed: so it is a share of the machine's memory.
* **Memory**. MLX's own limit lies at 1.5 times what Metal recommends, and between the two a Mac loads without
  an error and crawls: so the limit is what Metal recommends. Work that goes over it first waits for buffers
  of running work to be given back.
* **Wired memory** (kept from being swapped). Raising that limit is what made whole machines panic
  (ml-explore/mlx issue 3186), so it is never touched unless somebody asks for it, and then leaves the system
  the greater of 35 % and 8 GB (the rule of osaurus-ai/vmlx-swift pull request 421).
"""

import ctypes
import sys

import mlx.core as mx
import psutil

from magistral_mlx.errors import UsageError
from magistral_mlx.machine.probes import recommended_working_set
from magistral_mlx.storage.units import GIB, format_memory

_CACHE_SHARE = 16
_SMALLEST_CACHE = GIB // 4
_FREE_SHARE = 0.35
_FREE_BYTES = 8 * GIB


def allocator_cache_limit(total_bytes: int) -> int:
    """Return the bytes of freed buffers that MLX may keep: 1/16 of `total_bytes`, at least 256 MiB."""
    return max(total_bytes // _CACHE_SHARE, _SMALLEST_CACHE)


def wired_limit(total_bytes: int, recommended_bytes: int) -> int:
    """Return the bytes to keep resident on request: all but the greater of 35 % and 8 GiB.

    It is at most what Metal recommends, which is also the system's own limit, and 0 on a small machine.
    """
    left = total_bytes - max(int(total_bytes * _FREE_SHARE), _FREE_BYTES)
    return max(0, min(left, recommended_bytes))


def set_limits(*, wire: bool = False) -> None:
    """Set MLX's limits for this machine and the whole process.

    Args:
        wire: also keep weights and caches from being swapped, within `wired_limit`.

    Raises:
        UsageError: `wire` on a machine without Metal, or on one too small for it.
    """
    total = psutil.virtual_memory().total
    recommended = recommended_working_set(mx.device_info())
    if wire:
        _wire(total, recommended)
    mx.set_cache_limit(allocator_cache_limit(total))
    if recommended is not None:
        mx.set_memory_limit(recommended)


def give_memory_back() -> None:
    """Hand freed memory to the system: MLX's cache and, on Linux, what the C library keeps of it.

    Without that, a third of a model's memory stays with the process on Linux.
    """
    mx.clear_cache()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; musl has none
        if trim is not None:
            trim(0)


def _wire(total: int, recommended: int | None) -> None:
    if recommended is None:
        raise UsageError("Memory can be wired on a Mac with Metal only", "Leave out --wire (wire=True).")
    limit = wired_limit(total, recommended)
    if limit == 0:
        raise UsageError(
            f"Wiring leaves the system at least {format_memory(_FREE_BYTES)}; "
            f"this machine has {format_memory(total)}",
            "Leave out --wire (wire=True).",
        )
    mx.set_wired_limit(limit)
