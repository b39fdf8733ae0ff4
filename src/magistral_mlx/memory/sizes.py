"""Compute what fits: weights, KV cache and activations against the memory of a machine.

Arithmetic on sizes; only `this_machine` looks at the machine. All figures are bytes or tokens; GiB is 2**30.
Weights and KV cache are exact; the activations of a prefill chunk (`chunk_memory.py`) and of an image are
counted from the shapes that live at once (docs/experiments.md compares them with measured peaks);
`OVERHEAD_BYTES` is an allowance.
What is in use is the physical footprint, where there is one: a resident set misses Metal's memory.
"""

import math
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from magistral_mlx.checkpoint.safetensors_header import read_header
from magistral_mlx.machine.probes import memory_probes, swap_free
from magistral_mlx.machine.telemetry import sample
from magistral_mlx.memory.activations import FLAT_FROM, SMALLEST_STEP, ChunkMemory, chunk_memory
from magistral_mlx.storage.units import GB, GIB

if TYPE_CHECKING:
    from magistral_mlx.checkpoint.config import ModelConfig
    from magistral_mlx.checkpoint.folder import Checkpoint

OVERHEAD_BYTES = 3 * GIB // 4
"""Allowance for the process itself (0.4 GB: Python and the libraries) and the allocator's spare buffers."""
USEFUL_CONTEXT = 4096
"""Tokens that must fit, or loading is refused: one large image (3,080), a question and some thought."""
ADVISED_CONTEXT = 40_960
"""Tokens up to which the model's authors promise its quality."""
KV_BITS = (16, 8, 4)
"""Widths of a KV cache: the model's own dtype, and quantized in groups."""
PREFILL_TOKENS = 512
"""Tokens of a prefill chunk; a Max or Ultra reads more at once and has the memory for it."""

DEFAULT_IDLE_BYTES = 2 * GIB
"""Bytes for idle KV caches on an unknown machine."""

_GROUP_FLOATS = 2  # a scale and a bias
_FLOATS = ("BF16", "F16", "F32")


@dataclass(frozen=True, kw_only=True)
class VisionSize:
    """Dimensions of the vision tower that determine its memory."""

    hidden: int
    intermediate: int
    heads: int
    patch: int
    """Pixels along a patch."""
    merge: int
    """Patches along the square that becomes one position."""
    longest_edge: int

    @property
    def most_patches(self) -> int:
        """Patches of the largest image."""
        return (self.longest_edge // self.patch) ** 2

    @property
    def most_tokens(self) -> int:
        """Positions of the largest image: 3,080, with the breaks at the ends of its rows."""
        side = self.longest_edge // (self.patch * self.merge)
        return side * side + side

    def activation_bytes(self, patches: int, float_bytes: int) -> int:
        """Beside the weights, while one image is encoded: three arrays of the MLP's width, eight of the
        model's, and the pixels twice. Attention is one kernel, or is bounded by `SCORE_BYTES` on the CPU."""
        pixels = 2 * 3 * patches * self.patch**2 * 4
        scores = min(2 * self.heads * patches**2 * 4, 2**28 * 6 // 5) if float_bytes == 4 else 0
        return patches * (3 * self.intermediate + 8 * self.hidden) * float_bytes + pixels + scores


@dataclass(frozen=True, kw_only=True)
class ModelSize:
    """Dimensions of a model that determine its memory."""

    weight_bytes: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    intermediate: int
    vocabulary: int
    context_length: int
    """Tokens that the model takes at most."""
    vision: VisionSize | None = None
    float_bytes: int = 2
    """Bytes of one unpacked number: 2 on a GPU (bfloat16), 4 on the CPU (float32)."""

    def kv_bytes_per_token(self, bits: int) -> int:
        """Bytes that one token takes in the KV cache: a key and a value for each layer and KV head."""
        values = 2 * self.layers * self.kv_heads * self.head_dim
        if bits == 16:
            return values * self.float_bytes
        group = 64 if self.head_dim % 64 == 0 else 32
        return values * bits // 8 + values // group * _GROUP_FLOATS * self.float_bytes

    @property
    def chunk(self) -> ChunkMemory:
        """Memory for prefilling one chunk."""
        return chunk_memory(
            hidden=self.hidden,
            intermediate=self.intermediate,
            heads=self.heads,
            kv_heads=self.kv_heads,
            head_dim=self.head_dim,
            float_bytes=self.float_bytes,
        )

    def prefill_bytes(self, context: int, bits: int) -> int:
        """Beside weights and KV cache, at the worst moment of reading `context` tokens.

        The logits of one position, and the chunk that takes most: on a GPU the last one, on the CPU one at
        `FLAT_FROM` tokens, or the last if even the smallest step takes more there (`PrefillStep`).
        """
        chunk, full = self.chunk, min(PREFILL_TOKENS, context)
        if self.float_bytes == 4:
            flat = chunk.peak(full, min(context, FLAT_FROM), kv_bits=bits)
            peak = max(flat, chunk.peak(min(SMALLEST_STEP, context), context, kv_bits=bits))
        else:
            peak = chunk.peak(full, context, kv_bits=bits)
        return peak + self.vocabulary * self.float_bytes

    def vision_bytes(self, patches: int) -> int:
        """Beside weights and KV cache, while an image of so many patches is encoded."""
        return self.vision.activation_bytes(patches, self.float_bytes) if self.vision and patches else 0


_SMALL_CODES = 11_785_994_240
_SMALL_FLOATS = 1_175_997_440

MAGISTRAL_SMALL_4BIT = ModelSize(
    weight_bytes=_SMALL_CODES + 2 * _SMALL_FLOATS,
    layers=40,
    heads=32,
    kv_heads=8,
    head_dim=128,
    hidden=5120,
    intermediate=32_768,
    vocabulary=131_072,
    context_length=131_072,
    vision=VisionSize(hidden=1024, intermediate=4096, heads=16, patch=14, merge=2, longest_edge=1540),
)
"""Magistral Small in 4 bits (affine, group 64), vision tower and projector in bfloat16.

`_SMALL_CODES` are the bytes of its 4-bit codes. `_SMALL_FLOATS` counts its other numbers: scales, biases,
norms, vision tower and projector.
"""

MAGISTRAL_SMALL_DOWNLOAD = 48 * GB
MAGISTRAL_SMALL_DISK = 20 * GB
"""Bytes of free disk for its conversion from the hub: the result, and one file of the source at a time."""


def magistral_small(float_bytes: int) -> ModelSize:
    """Return the size of `MAGISTRAL_SMALL_4BIT` where one unpacked number takes so many bytes."""
    weights = _SMALL_CODES + float_bytes * _SMALL_FLOATS
    return replace(MAGISTRAL_SMALL_4BIT, weight_bytes=weights, float_bytes=float_bytes)


@dataclass(frozen=True)
class Machine:
    """Memory of a machine; None where it is unknown."""

    total_bytes: int | None = None
    recommended_bytes: int | None = None
    """The working set that Metal recommends; None without Metal."""
    available_bytes: int | None = None
    """Bytes that are free now or can be freed without swapping."""
    swap_free_bytes: int | None = None
    """Swap that is left; None where it grows as needed (macOS)."""
    used_bytes: int = 0
    """Bytes this process uses already: the larger of MLX's arrays and the physical footprint, without what
    the allocator would give back."""

    @property
    def limit_bytes(self) -> int | None:
        """Bytes a model may use: Metal's recommendation, else the whole memory."""
        return self.total_bytes if self.recommended_bytes is None else self.recommended_bytes

    @property
    def reachable_bytes(self) -> int | None:
        """Bytes this process can have in total now, with swap; None: unknown."""
        limits = [] if self.limit_bytes is None else [self.limit_bytes]
        if self.available_bytes is not None and self.swap_free_bytes is not None:
            limits.append(self.used_bytes + self.available_bytes + self.swap_free_bytes)
        return min(limits, default=None)

    @property
    def more_bytes(self) -> int | None:
        """Bytes this process can still obtain; None: unknown."""
        return None if self.reachable_bytes is None else max(0, self.reachable_bytes - self.used_bytes)


@dataclass(frozen=True)
class Plan:
    """How a model fits a machine, before it is loaded.

    `images` is the patches of the largest image that is to be read: its activations and those of a
    prefill chunk are never there at once.
    """

    size: ModelSize
    machine: Machine
    kv_bits: int = 16
    patches: int | None = None
    """Patches of the largest image; None: the largest the model takes."""

    def context(self, bits: int) -> int:
        """Tokens of context that fit at a KV width, at most the model's own; 0 where the weights do not."""
        limit = self.machine.reachable_bytes
        if limit is None:
            return self.size.context_length
        fixed = self.size.weight_bytes + OVERHEAD_BYTES
        return longest_context(self.size, limit - fixed, bits=bits, patches=self._patches)

    def bytes_for(self, tokens: int, bits: int) -> int:
        """Return all memory at a context of `tokens` tokens."""
        size = self.size
        peak = max(size.prefill_bytes(tokens, bits), size.vision_bytes(self._patches))
        return size.weight_bytes + OVERHEAD_BYTES + peak + tokens * size.kv_bytes_per_token(bits)

    @property
    def needed_bytes(self) -> int:
        """Bytes of all memory at a useful context."""
        return self.bytes_for(min(USEFUL_CONTEXT, self.size.context_length), self.kv_bits)

    @property
    def fits(self) -> bool:
        """Tell whether a useful context fits beside the weights."""
        return self.fits_bytes(self.needed_bytes)

    def fits_bytes(self, needed: int) -> bool:
        """Tell whether the machine can give `needed` bytes at all."""
        limit = self.machine.reachable_bytes
        return limit is None or needed <= limit

    @property
    def tight(self) -> bool:
        """Tell whether it fits only after other programs free memory; it swaps until then."""
        return self.fits and self.swaps(self.needed_bytes)

    def swaps(self, needed: int) -> bool:
        """Tell whether `needed` bytes are more than is free now."""
        available = self.machine.available_bytes
        return available is not None and needed - self.machine.used_bytes > available

    @property
    def _patches(self) -> int:
        if self.patches is not None:
            return self.patches
        return self.size.vision.most_patches if self.size.vision else 0


def longest_context(size: ModelSize, left: int, *, bits: int, patches: int, held: int = 0) -> int:
    """Tokens of context whose KV cache and activations fit into `left` bytes; at most the model's own.

    Args:
        held: tokens whose KV cache is there already, so that it takes nothing of `left`.
    """

    def fits(tokens: int) -> bool:
        peak = max(size.prefill_bytes(tokens, bits), size.vision_bytes(patches))
        return peak + max(0, tokens - held) * size.kv_bytes_per_token(bits) <= left

    low, high = 0, size.context_length
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def plan(size: ModelSize, machine: Machine, *, kv_bits: int = 16, patches: int | None = None) -> Plan:
    """Plan how a model of this size fits a machine."""
    return Plan(size, machine, kv_bits, patches)


def size_of(checkpoint: "Checkpoint", *, float_bytes: int = 2) -> ModelSize:
    """Return the size of a loaded folder: packed weights as stored, others in the computing dtype.

    Args:
        float_bytes: of the computing dtype: 2 on a GPU, 4 on the CPU (see `float_bytes_here`).

    Raises:
        CheckpointError: a weight file is gone or damaged.
    """
    return size_of_config(
        checkpoint.config,
        weight_bytes=sum(loaded_bytes(path, float_bytes) for path in checkpoint.weight_files),
        float_bytes=float_bytes,
    )


def size_of_config(config: "ModelConfig", *, weight_bytes: int, float_bytes: int) -> ModelSize:
    """Return the size of a model from its config and the bytes of its weights."""
    text, tower = config.text, config.vision
    vision = (
        None
        if tower is None
        else VisionSize(
            hidden=tower.hidden_size,
            intermediate=tower.intermediate_size,
            heads=tower.num_attention_heads,
            patch=tower.patch_size,
            merge=config.spatial_merge_size,
            longest_edge=tower.image_size,
        )
    )
    return ModelSize(
        weight_bytes=weight_bytes,
        layers=text.num_hidden_layers,
        heads=text.num_attention_heads,
        kv_heads=text.num_key_value_heads,
        head_dim=text.head_dim,
        hidden=text.hidden_size,
        intermediate=text.intermediate_size,
        vocabulary=text.vocab_size,
        context_length=text.max_position_embeddings,
        vision=vision,
        float_bytes=float_bytes,
    )


def idle_cache_bytes(size: ModelSize, machine: Machine) -> int:
    """Memory for KV caches that no running answer uses: half of what weights and activations leave.

    The other half is for the answer itself. 4.8 GB on a 32 GB Mac that may use 24: 31,000 tokens.
    """
    if machine.limit_bytes is None:
        return DEFAULT_IDLE_BYTES
    return max(0, machine.limit_bytes - plan(size, machine).bytes_for(0, 16)) // 2


def loaded_bytes(weight_file: Path, float_bytes: int) -> int:
    """Memory of one file's tensors once loaded; reads its header alone.

    Raises:
        CheckpointError: the file is gone or damaged.
    """
    tensors = read_header(weight_file).tensors.values()
    return sum(
        math.prod(each.shape) * float_bytes if each.dtype in _FLOATS else each.end - each.start
        for each in tensors
    )


def float_bytes_here() -> int:
    """Bytes of one number in the dtype that this machine computes in. Loads MLX."""
    import mlx.core as mx

    return 2 if mx.default_device() == mx.Device(mx.gpu) else 4


def this_machine() -> Machine:
    """This machine, right now. Loads MLX: only it can ask Metal."""
    import_module("mlx.core")  # the probe reads only what is loaded
    now = sample(memory_probes())
    return Machine(
        total_bytes=now.total_bytes,
        recommended_bytes=now.recommended_bytes,
        available_bytes=now.available_bytes,
        swap_free_bytes=swap_free(),
        used_bytes=max(now.active_bytes or 0, (now.footprint_bytes or 0) - (now.cache_bytes or 0)),
    )
