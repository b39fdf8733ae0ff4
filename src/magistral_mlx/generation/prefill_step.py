"""How many tokens of a prompt are read at once: by machine, and fewer the longer the context is.

A larger step keeps a GPU busier, but stopping waits for it, its activations take memory, and macOS ends work
that holds up the display for too long. Where the next piece stands in the context counts too: attention of
one token to n others costs `4 * heads * head_dim * layers * n` operations, everything else `2 * parameters`,
for Magistral Small as much at n = 68,000. So the step shrinks with the context such that a piece takes as
long wherever it stands.

On the CPU backend attention writes out its scores (`heads * step * n` numbers): there the step shrinks such
that they take no more memory than those of a full step at `FLAT_FROM` tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from magistral_mlx.model_config import TextConfig

SMALLEST = 32
RETRY_DIVISOR = 4
"""By how much the step shrinks after a fault of the GPU."""
FLAT_FROM = 2048

_MULTIPLE = 16
_CPU_STEP = 512
_GPU_STEPS = {"g": 512, "s": 1024, "d": 2048}
"""By the last letter of Metal's architecture: base and Pro, Max, Ultra (10 to 20, 40, 80 cores)."""


@dataclass(frozen=True, kw_only=True)
class PrefillStep:
    """The rule for one model on one machine."""

    full: int
    """Tokens at the beginning of a prompt."""
    half_at: int
    """Tokens of context where a step is half as long."""
    scores_in_full: bool = False
    """Whether attention writes out its scores, as on the CPU."""

    def at(self, context: int) -> int:
        """Tokens to read next when so many are held."""
        if self.scores_in_full:
            step = self.full * FLAT_FROM // max(context + self.full, FLAT_FROM)
        else:
            step = self.full * self.half_at // (self.half_at + context)
        return max(SMALLEST, step // _MULTIPLE * _MULTIPLE)

    def smaller(self) -> "PrefillStep | None":
        """The rule for another try after a fault; None if it is as small as it gets."""
        full = max(SMALLEST, self.full // RETRY_DIVISOR)
        if full == self.full:
            return None
        return PrefillStep(full=full, half_at=self.half_at, scores_in_full=self.scores_in_full)


def prefill_step(text: TextConfig, device_info: Mapping[str, str | int], *, gpu: bool) -> PrefillStep:
    """The rule for a decoder on this machine.

    Args:
        device_info: of `mx.device_info()`; Metal names an "architecture" such as "applegpu_g15s".
        gpu: whether it computes on a GPU.
    """
    if not gpu:
        return PrefillStep(full=_CPU_STEP, half_at=half_at(text), scores_in_full=True)
    architecture = str(device_info.get("architecture", ""))
    known = architecture.startswith("applegpu")
    # Other GPUs (CUDA) are large and have no watchdog of that kind.
    full = _GPU_STEPS.get(architecture[-1:], _GPU_STEPS["g"]) if known else _GPU_STEPS["s"]
    return PrefillStep(full=full, half_at=half_at(text))


def half_at(text: TextConfig) -> int:
    """Tokens of context at which attention costs a token as much as everything else: 67,840 for Magistral."""
    attention = text.num_attention_heads * text.head_dim
    keys_and_values = 2 * text.num_key_value_heads * text.head_dim
    per_layer = text.hidden_size * (2 * attention + keys_and_values + 3 * text.intermediate_size)
    return max(1, 2 * per_layer // (4 * attention))
