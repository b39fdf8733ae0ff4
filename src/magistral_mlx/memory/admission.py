"""Refuse work that does not fit into memory before it starts, and name what would fit.

A refusal means that the machine cannot give the memory at all: more than Metal recommends, or, where swap is
limited, more than memory and swap have free. Work that fits after other programs free memory is not refused.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from magistral_mlx.errors import MemoryLimitError
from magistral_mlx.memory.sizes import (
    KV_BITS,
    USEFUL_CONTEXT,
    Machine,
    ModelSize,
    Plan,
    float_bytes_here,
    longest_context,
    plan,
    size_of,
    this_machine,
)
from magistral_mlx.storage.units import format_memory

if TYPE_CHECKING:
    from magistral_mlx.checkpoint.folder import Checkpoint

SHORTEST_REPLY = 512
"""Tokens of reply that must fit after a prompt, unless fewer are asked for."""
SMALL_IMAGE = 770
"""Pixels of the longest edge that a refusal proposes: a quarter of the positions of the largest image."""


def check_before_loading(
    checkpoint: "Checkpoint", *, kv_bits: int = 16, machine: Machine | None = None
) -> Plan:
    """Plan the loading of a folder; `machine` defaults to this one.

    Raises:
        MemoryLimitError: a useful context does not fit; names the missing memory and what would fit.
    """
    machine = machine or this_machine()
    made = plan(size_of(checkpoint, float_bytes=float_bytes_here()), machine, kv_bits=kv_bits)
    if not made.fits:
        raise _cannot_load(checkpoint.name, made)
    return made


def _cannot_load(name: str, made: Plan) -> MemoryLimitError:
    machine, size = made.machine, made.size
    limit = machine.limit_bytes
    if limit is None or made.needed_bytes <= limit:
        limit = machine.more_bytes or 0
        at_most = f"only {format_memory(limit)} is free"
    else:
        whose = "Metal recommends at most" if machine.recommended_bytes else "this machine has only"
        at_most = f"{whose} {format_memory(limit)}"
    others = [
        f"with kv_bits={bits} (--kv-bits {bits}) {made.context(bits):,} tokens of context would fit"
        for bits in KV_BITS
        if bits < made.kv_bits and made.context(bits) >= min(USEFUL_CONTEXT, size.context_length)
    ]
    shorter = made.context(made.kv_bits)
    if not others and shorter:
        others = [f"the weights alone would fit, with about {shorter:,} tokens of context"]
    remedy = (
        "Close other programs, use a smaller model: convert with fewer bits (`magistral convert --bits 3`), "
        'or take "miniature".'
    )
    return MemoryLimitError(
        f"{name} needs about {format_memory(made.needed_bytes)} of memory "
        f"(weights {format_memory(size.weight_bytes)}, the rest for "
        f"{min(USEFUL_CONTEXT, size.context_length):,} tokens of context and for computing), but {at_most}",
        f"{others[0][0].upper()}{others[0][1:]}. {remedy}" if others else remedy,
    )


@dataclass(frozen=True, kw_only=True)
class Demand:
    """Memory demand of one question."""

    size: ModelSize
    kv_bits: int
    held: int
    """Tokens whose KV cache is there already and stays."""
    prompt_tokens: int
    """All of the prompt, held ones included."""
    patches: tuple[int, ...] = ()
    """Patches of each image to encode."""
    max_tokens: int | None = None
    """Tokens of the reply; None: as many as fit."""

    @property
    def reply_tokens(self) -> int:
        """Tokens of reply that must fit."""
        return min(self.max_tokens or SHORTEST_REPLY, SHORTEST_REPLY)

    @property
    def tokens(self) -> int:
        """Tokens of context that must fit, at most the model's own."""
        return min(self.prompt_tokens + self.reply_tokens, self.size.context_length)


def context_before_sending(demand: Demand, machine: Machine) -> int:
    """Tokens of prompt and reply together that memory allows, at most the model's own.

    Raises:
        MemoryLimitError: the prompt and a short reply do not fit; says what would.
    """
    left = machine.more_bytes
    if left is None:
        return demand.size.context_length
    largest = max(demand.patches, default=0)
    fitting = longest_context(demand.size, left, bits=demand.kv_bits, patches=largest, held=demand.held)
    if fitting < demand.tokens:
        raise _cannot_send(demand, left, fitting)
    return fitting


def _cannot_send(demand: Demand, left: int, fitting: int) -> MemoryLimitError:
    size = demand.size
    largest = max(demand.patches, default=0)
    growth = max(0, demand.tokens - demand.held) * size.kv_bytes_per_token(demand.kv_bits)
    computing = max(size.prefill_bytes(demand.tokens, demand.kv_bits), size.vision_bytes(largest))
    images = f", {len(demand.patches)} new images" if len(demand.patches) > 1 else ""
    image = ", a new image" if len(demand.patches) == 1 else images
    return MemoryLimitError(
        f"This question needs about {format_memory(growth + computing)} more memory "
        f"({format_memory(growth)} for the KV cache of {demand.tokens:,} tokens{image}, "
        f"{format_memory(computing)} for computing), but only {format_memory(left)} is left",
        f"{_alternatives(demand, left, fitting)}.",
    )


def _alternatives(demand: Demand, left: int, fitting: int) -> str:
    """Name what would fit, with numbers, the smallest change first."""
    size = demand.size
    largest = max(demand.patches, default=0)
    ways: list[str] = []
    for bits in KV_BITS:
        # Packing what is held gives memory back, which is not counted here: it fits all the more.
        fits = longest_context(size, left, bits=bits, patches=largest, held=demand.held)
        if bits < demand.kv_bits and fits >= demand.tokens:
            ways.append(f"an {bits}-bit KV cache" if bits == 8 else f"a {bits}-bit KV cache")
            ways[-1] += f" (kv_bits={bits}, --kv-bits {bits}; {fits:,} tokens would fit)"
            break
    if demand.patches and size.vision is not None:
        small = _smaller_images(demand)
        if longest_context(size, left, bits=demand.kv_bits, patches=max(small.patches), held=demand.held) >= (
            small.tokens
        ):
            saved = demand.tokens - small.tokens
            ways.append(f"images of at most {SMALL_IMAGE} pixels ({saved:,} tokens fewer)")
    if fitting > demand.reply_tokens + demand.held:
        ways.append(f"a prompt of at most {fitting - demand.reply_tokens:,} tokens")
    ways.append("a new conversation" if demand.held else "closing other programs")
    return f"Take {', or '.join(ways)}"


def _smaller_images(demand: Demand) -> Demand:
    """Return the same question with no image over `SMALL_IMAGE` pixels."""
    vision = demand.size.vision
    assert vision is not None
    most = (SMALL_IMAGE // vision.patch) ** 2
    patches = tuple(min(each, most) for each in demand.patches)
    fewer = (sum(demand.patches) - sum(patches)) // vision.merge**2
    return Demand(
        size=demand.size,
        kv_bits=demand.kv_bits,
        held=demand.held,
        prompt_tokens=demand.prompt_tokens - fewer,
        patches=patches,
        max_tokens=demand.max_tokens,
    )
