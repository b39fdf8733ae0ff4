"""How many tokens of a prompt are read at once: by machine, and fewer the longer the context is.

A larger step keeps a GPU busier, but stopping waits for it, its activations take memory, and macOS ends work
that holds up the display for too long. Where the next piece stands in the context counts too: attention of
one token to n others costs `4 * heads * head_dim * layers * n` operations, everything else `2 * parameters`,
for Magistral Small as much at n = 68,000. So the step shrinks with the context such that a piece takes as
long wherever it stands.

On the CPU attention writes out its scores, so memory limits a step, not time: it is the largest whose peak
(`memory/activations.py` has the formula) is that of a full step at `FLAT_FROM` tokens. The peak
of a prefill beside the KV cache itself is then the same at 2,000 tokens and at 16,000; only where the copy of
one layer of the cache takes most of that (from 33,000 tokens for Magistral Small) does it grow again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from magistral_mlx.checkpoint.config import TextConfig
from magistral_mlx.memory.activations import FLAT_FROM, SMALLEST_STEP, ChunkMemory, chunk_memory

RETRY_DIVISOR = 4
"""Divisor of the step after a fault of the GPU."""

_GPU_MULTIPLE = 16
"""Rows of a tile of a GPU's matrix kernels."""
_CPU_MULTIPLE = 4
"""Fine enough that rounding costs no more than a twentieth of a step of 80."""
_CPU_STEP = 512
_GPU_STEPS = {"g": 512, "s": 1024, "d": 2048}
"""By the last letter of Metal's architecture: base and Pro, Max, Ultra (10 to 20, 40, 80 cores)."""


@dataclass(frozen=True, kw_only=True)
class PrefillStep:
    """The chunk sizes for one model on one machine."""

    full: int
    """Tokens at the beginning of a prompt."""
    half_at: int
    """Tokens of context at which a step is half as long, unless memory limits it."""
    memory: ChunkMemory | None = None
    """Memory of a chunk, where it limits the step: on the CPU."""

    def at(self, context: int, *, kv_bits: int = 16) -> int:
        """Tokens of the next chunk after `context` tokens in a KV cache of that width."""
        if self.memory is None:
            step, multiple = self.full * self.half_at // (self.half_at + context), _GPU_MULTIPLE
        else:
            most = self.memory.peak(self.full, FLAT_FROM, kv_bits=kv_bits)
            within = self.memory.tokens_within(most, context, kv_bits=kv_bits)
            step, multiple = min(self.full, within), _CPU_MULTIPLE
        return max(SMALLEST_STEP, step // multiple * multiple)

    def smaller(self) -> "PrefillStep | None":
        """Smaller chunks for another try after a fault; None if they are the smallest."""
        full = max(SMALLEST_STEP, self.full // RETRY_DIVISOR)
        return None if full == self.full else replace(self, full=full)


def prefill_step(text: TextConfig, device_info: Mapping[str, str | int], *, gpu: bool) -> PrefillStep:
    """The chunk sizes for a decoder on this machine.

    Args:
        device_info: of `mx.device_info()`; Metal names an "architecture" such as "applegpu_g15s".
        gpu: whether it computes on a GPU.
    """
    if not gpu:
        memory = chunk_memory(
            hidden=text.hidden_size,
            intermediate=text.intermediate_size,
            heads=text.num_attention_heads,
            kv_heads=text.num_key_value_heads,
            head_dim=text.head_dim,
            float_bytes=4,
        )
        return PrefillStep(full=_CPU_STEP, half_at=half_at(text), memory=memory)
    architecture = str(device_info.get("architecture", ""))
    known = architecture.startswith("applegpu")
    # Other GPUs (CUDA) are large and have no watchdog of that kind.
    full = _GPU_STEPS.get(architecture[-1:], _GPU_STEPS["g"]) if known else _GPU_STEPS["s"]
    return PrefillStep(full=full, half_at=half_at(text))


def half_at(text: TextConfig) -> int:
    """Tokens of context at which attention costs as much as all else: 67,840 for Magistral."""
    attention = text.num_attention_heads * text.head_dim
    keys_and_values = 2 * text.num_key_value_heads * text.head_dim
    per_layer = text.hidden_size * (2 * attention + keys_and_values + 3 * text.intermediate_size)
    return max(1, 2 * per_layer // (4 * attention))
