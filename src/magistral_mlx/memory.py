"""What will fit: weights, KV cache and activations against the memory that a machine gives to a model.

Arithmetic on sizes; only `this_machine` looks at the machine. All figures are bytes or tokens; GiB is 2**30.
A plan is an estimate: weights and KV cache are exact, the allowance for activations is an assumption, and the
memory that other programs hold changes from one minute to the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from magistral_mlx.errors import MemoryLimitError
from magistral_mlx.telemetry import probes_of_this_machine, sample

if TYPE_CHECKING:
    from magistral_mlx.checkpoint import Checkpoint

GIB = 2**30
MOST_ACTIVATIONS = 3 * GIB // 2
"""Allowance for a prefill chunk and one large picture in Magistral Small; an assumption."""
USEFUL_CONTEXT = 4096
"""Tokens that must fit, or loading is refused: one large picture (3,080), a question and some thought."""
KV_BITS = (16, 8, 4)
"""Widths of a KV cache: bfloat16, and quantized in groups of 64."""

DEFAULT_IDLE_BYTES = 2 * GIB
"""For idle KV caches on a machine that tells nothing of itself."""

_KV_GROUP = 64
_GROUP_BYTES = 4  # a scale and a bias in bfloat16


@dataclass(frozen=True)
class ModelSize:
    """What of a model takes memory."""

    weight_bytes: int
    layers: int
    kv_heads: int
    head_dim: int
    context_length: int
    """Tokens that the model takes at most."""

    @property
    def activation_bytes(self) -> int:
        """Allowance beside weights and KV cache: an eighth of the weights, at most MOST_ACTIVATIONS."""
        return min(self.weight_bytes // 8, MOST_ACTIVATIONS)

    def kv_bytes_per_token(self, bits: int) -> int:
        """Bytes that one token takes in the KV cache: a key and a value for each layer and KV head."""
        values = 2 * self.layers * self.kv_heads * self.head_dim
        groups = values // _KV_GROUP if bits < 16 else 0
        return values * bits // 8 + groups * _GROUP_BYTES


MAGISTRAL_SMALL_4BIT = ModelSize(
    weight_bytes=14_138_000_000, layers=40, kv_heads=8, head_dim=128, context_length=131_072
)
"""Magistral Small in 4 bits (affine, group 64), vision tower and projector in bfloat16."""


@dataclass(frozen=True)
class Machine:
    """What a machine has; None where it cannot be known."""

    total_bytes: int | None = None
    recommended_bytes: int | None = None
    """The working set that Metal recommends; None without Metal."""
    available_bytes: int | None = None
    """What is free right now, or would be freed without swapping."""

    @property
    def limit_bytes(self) -> int | None:
        """What a model may use: what Metal recommends, else all there is."""
        return self.total_bytes if self.recommended_bytes is None else self.recommended_bytes


@dataclass(frozen=True)
class Plan:
    """How a model fits a machine."""

    size: ModelSize
    machine: Machine

    def context(self, bits: int) -> int:
        """Tokens of context that fit at a KV width, at most the model's own; 0 where the weights do not."""
        limit = self.machine.limit_bytes
        if limit is None:
            return self.size.context_length
        left = limit - self.size.weight_bytes - self.size.activation_bytes
        return max(0, min(left // self.size.kv_bytes_per_token(bits), self.size.context_length))

    @property
    def needed_bytes(self) -> int:
        """Weights, activations and the KV cache of a useful context in bfloat16."""
        tokens = min(USEFUL_CONTEXT, self.size.context_length)
        return self.size.weight_bytes + self.size.activation_bytes + tokens * self.size.kv_bytes_per_token(16)

    @property
    def fits(self) -> bool:
        """Whether a useful context fits beside the weights."""
        limit = self.machine.limit_bytes
        return limit is None or self.needed_bytes <= limit

    @property
    def tight(self) -> bool:
        """It fits, but only once other programs give memory back: expect swapping until then."""
        available = self.machine.available_bytes
        return self.fits and available is not None and self.needed_bytes > available


def plan(size: ModelSize, machine: Machine) -> Plan:
    """How a model of this size fits this machine."""
    return Plan(size, machine)


def size_of(checkpoint: "Checkpoint") -> ModelSize:
    """What a converted folder takes once loaded; weights by the sizes of their files.

    Raises:
        OSError: a weight file is gone.
    """
    text = checkpoint.config.text
    return ModelSize(
        weight_bytes=sum(path.stat().st_size for path in checkpoint.weight_files),
        layers=text.num_hidden_layers,
        kv_heads=text.num_key_value_heads,
        head_dim=text.head_dim,
        context_length=text.max_position_embeddings,
    )


def idle_cache_bytes(size: ModelSize, machine: Machine) -> int:
    """Memory for KV caches that no running answer uses: half of what weights and activations leave.

    The other half is for the answer itself. 4.6 GB on a 32 GB Mac that may use 24: 30,000 tokens.
    """
    if machine.limit_bytes is None:
        return DEFAULT_IDLE_BYTES
    return max(0, machine.limit_bytes - size.weight_bytes - size.activation_bytes) // 2


def this_machine() -> Machine:
    """This machine, right now. Loads MLX: only it can ask Metal."""
    import_module("mlx.core")  # the probe reads only what is loaded
    now = sample(probes_of_this_machine())
    return Machine(
        total_bytes=now.total_bytes,
        recommended_bytes=now.recommended_bytes,
        available_bytes=now.available_bytes,
    )


def check_before_loading(checkpoint: "Checkpoint", *, machine: Machine | None = None) -> Plan:
    """The plan for a folder that is about to be loaded; `machine` defaults to this one.

    Raises:
        MemoryLimitError: not even a useful context fits; says how much is missing and what else would fit.
    """
    made = plan(size_of(checkpoint), machine or this_machine())
    if not made.fits:
        raise _refusal(checkpoint.name, made)
    return made


def _refusal(name: str, made: Plan) -> MemoryLimitError:
    limit = made.machine.limit_bytes or 0
    whose = "Metal recommends at most" if made.machine.recommended_bytes else "this machine has only"
    remedy = (
        'Use a smaller model: convert with fewer bits (`magistral convert --bits 3`), or take "miniature".'
    )
    short_of_context = made.context(16)
    if short_of_context:
        remedy = f"The weights alone would fit, with about {short_of_context:,} tokens of context. {remedy}"
    return MemoryLimitError(
        f"{name} needs about {gib(made.needed_bytes)} of memory (weights {gib(made.size.weight_bytes)}, "
        f"the rest for {min(USEFUL_CONTEXT, made.size.context_length):,} tokens of context and for "
        f"computing), but {whose} {gib(limit)}",
        remedy,
    )


def gib(size: int) -> str:
    """A size for people: "13.2 GB", in units of 2**30 bytes as Macs are sold, or in MB below one."""
    return f"{size / GIB:.1f} GB" if size >= GIB else f"{size / 2**20:.0f} MB"


MAC_SIZES = (16, 18, 24, 32, 36, 48, 64, 96, 128)
"""Unified memory of Macs, in GiB."""


def memory_table(size: ModelSize = MAGISTRAL_SMALL_4BIT, macs: Sequence[int] = MAC_SIZES) -> str:
    """The table "memory per Mac" in Markdown: context that fits with a KV cache of 16, 8 and 4 bits.

    macOS lets the GPU use a share of the memory that depends on version and machine; the two columns are the
    usual ones. The real figure of a Mac is `mx.device_info()["max_recommended_working_set_size"]`.
    """
    lines = [
        "| Mac | if the GPU may use 2/3 | if the GPU may use 3/4 |",
        "|---|---|---|",
    ]
    for mac in macs:
        cells = [_cell(plan(size, Machine(recommended_bytes=mac * GIB * share // 12))) for share in (8, 9)]
        lines.append(f"| {mac} GB | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(made: Plan) -> str:
    limit = f"{(made.machine.limit_bytes or 0) / GIB:.1f} GB"
    if not made.fits:
        return f"{limit}: does not fit"
    contexts = [made.context(bits) for bits in KV_BITS]
    if contexts[0] == made.size.context_length:
        return f"{limit}: {_tokens(contexts[0])}, all of it"
    return f"{limit}: {' / '.join(map(_tokens, contexts))}"


def _tokens(count: int) -> str:
    """Thousands of tokens, rounded down: a promise must hold."""
    return f"{count // 1000}k"
