"""`magistral_mlx.plan`: memory for a model, a context and images on this machine, before loading."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from magistral_mlx.api.checks import check_kv_bits
from magistral_mlx.checkpoint import installed
from magistral_mlx.checkpoint.folder import open_checkpoint
from magistral_mlx.errors import UsageError
from magistral_mlx.memory.sizes import (
    ADVISED_CONTEXT,
    KV_BITS,
    MAGISTRAL_SMALL_4BIT,
    OVERHEAD_BYTES,
    USEFUL_CONTEXT,
    Machine,
    ModelSize,
    Plan,
    float_bytes_here,
    magistral_small,
    size_of,
    this_machine,
)
from magistral_mlx.storage.units import GIB, format_installed, format_memory

if TYPE_CHECKING:
    from magistral_mlx.api.model import Magistral
    from magistral_mlx.prompt.images import ImageSource


MAGISTRAL_SMALL = "Magistral Small, 4 bits"
"""The model to plan for when none is named and none is installed."""


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """Memory needed and available, in bytes; prints as a table."""

    model: str
    context: int
    """Tokens of prompt and reply together."""
    kv_bits: int
    image_tokens: int
    """Of the images; part of the context."""
    weight_bytes: int
    kv_bytes: int
    prefill_bytes: int
    """While the last chunk is read."""
    vision_bytes: int
    """While the largest image is encoded; never at the same time as a chunk is read."""
    overhead_bytes: int
    """An allowance for the process and the allocator."""
    contexts: dict[int, int]
    """Tokens of context that fit at each width of the KV cache, with room for the largest image; 0: not even
    the weights fit."""
    machine: Machine
    fits: bool
    tight: bool
    """It fits, but not into what is free right now."""

    @property
    def needed_bytes(self) -> int:
        """Memory needed at the peak."""
        computing = max(self.prefill_bytes, self.vision_bytes)
        return self.weight_bytes + self.kv_bytes + computing + self.overhead_bytes

    @property
    def verdict(self) -> str:
        """The result in one line."""
        if not self.fits:
            return f"does not fit: {self._missing()}"
        if self.tight:
            free = self.machine.available_bytes or 0
            return f"tight: only {format_memory(free)} is free now; close other programs first"
        return "fits"

    @property
    def notes(self) -> tuple[str, ...]:
        """Further advice, one line each."""
        others = [
            f"with kv_bits={bits} it would fit"
            for bits in KV_BITS
            if not self.fits and bits < self.kv_bits and self.contexts[bits] >= self.context
        ]
        most = self.contexts[self.kv_bits]
        shorter = [f"a context of {most:,} tokens would fit"] if not self.fits and most >= 1024 else []
        long = [f"quality may fall beyond {ADVISED_CONTEXT:,} tokens, its authors say"]
        return (*others[:1], *shorter, *(long if self.context > ADVISED_CONTEXT else ()))

    def __str__(self) -> str:
        rows = [
            ("weights", self.weight_bytes),
            (f"KV cache, {self.context:,} tokens in {self.kv_bits} bits", self.kv_bytes),
            ("reading the prompt", self.prefill_bytes),
            ("encoding an image", self.vision_bytes),
            ("the process itself", self.overhead_bytes),
            ("needed in all, at the worst moment", self.needed_bytes),
        ]
        machine = self.machine
        if machine.limit_bytes is not None:
            whose = "Metal recommends" if machine.recommended_bytes else "this machine has"
            rows.append((whose, machine.limit_bytes))
        if machine.available_bytes is not None:
            rows.append(("free now", machine.available_bytes))
        contexts = ", ".join(f"{self.contexts[bits]:,} in {bits} bits" for bits in KV_BITS)
        width = max(len(name) for name, _ in rows)
        lines = [self.model, *(f"  {name.ljust(width)}  {format_memory(size):>8}" for name, size in rows)]
        lines += [f"  tokens of context that fit: {contexts}", f"  {self.verdict}"]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def _missing(self) -> str:
        more = self.machine.limit_bytes
        if more is not None and self.needed_bytes > more:
            return f"{format_memory(self.needed_bytes - more)} too little memory"
        return "more than is free here, swap included"


def plan(
    model: "str | os.PathLike[str] | Magistral | None" = None,
    *,
    context: int | None = None,
    images: "int | Iterable[ImageSource | tuple[int, int]]" = 0,
    kv_bits: int | None = None,
    machine: Machine | None = None,
) -> MemoryPlan:
    """Plan the memory for a question to this model on this machine; load nothing.

    Args:
        model: as for `load`, or a loaded model. None: the best installed one, or Magistral Small in 4 bits.
        context: tokens of prompt and reply together; None: 4,096, or what the images need if that is more.
        images: how many images of the largest size, or the images themselves, or their sizes in pixels
            (width, height).
        kv_bits: width of the KV cache: 16, 8 or 4; None: 16.
        machine: another machine than this one.

    Raises:
        CheckpointError: there is no such model.
        UsageError: a number is impossible, or the model takes no images.
        ImageError, NetworkError: an image cannot be read.
    """
    check_kv_bits(kv_bits)
    if context is not None and context < 1:
        raise UsageError(f"context is {context!r}", "Give a number of tokens, 1 or more.")
    machine = machine or this_machine()
    name, size = _named_size(model, float_bytes_of(machine))
    return plan_of(
        name,
        size,
        machine,
        context=context,
        images=_patches(images, size),
        kv_bits=kv_bits,
    )


def float_bytes_of(machine: Machine) -> int:
    """Bytes of one number in the dtype that a machine computes in."""
    return float_bytes_here() if machine.recommended_bytes is None else 2


def plan_of(
    name: str,
    size: ModelSize,
    machine: Machine,
    *,
    context: int | None = None,
    images: tuple[tuple[int, int], ...] = (),
    kv_bits: int | None = None,
) -> MemoryPlan:
    """The plan for a model of known size; `images` are positions and patches of each."""
    bits = kv_bits or 16
    image_tokens = sum(tokens for tokens, _ in images)
    wanted = context or min(max(USEFUL_CONTEXT, image_tokens + USEFUL_CONTEXT // 4), size.context_length)
    patches = max((patches for _, patches in images), default=0)
    made = Plan(size, machine, bits, patches)
    needed = made.bytes_for(wanted, bits)
    fits = made.fits_bytes(needed) and wanted <= size.context_length and image_tokens < wanted
    return MemoryPlan(
        model=name,
        context=wanted,
        kv_bits=bits,
        image_tokens=image_tokens,
        weight_bytes=size.weight_bytes,
        kv_bytes=wanted * size.kv_bytes_per_token(bits),
        prefill_bytes=size.prefill_bytes(wanted, bits),
        vision_bytes=size.vision_bytes(patches),
        overhead_bytes=OVERHEAD_BYTES,
        contexts={each: Plan(size, machine, each).context(each) for each in KV_BITS},
        machine=machine,
        fits=fits,
        tight=fits and made.swaps(needed),
    )


def _named_size(
    model: "str | os.PathLike[str] | Magistral | None", float_bytes: int
) -> tuple[str, ModelSize]:
    if model is None and not installed.installed_models():
        return MAGISTRAL_SMALL, magistral_small(float_bytes)
    if model is None or isinstance(model, str | os.PathLike):
        checkpoint = open_checkpoint(Path(installed.resolve(model)))
        return checkpoint.name, size_of(checkpoint, float_bytes=float_bytes)
    return model.name, model.size


def _patches(
    images: "int | Iterable[ImageSource | tuple[int, int]]", size: ModelSize
) -> tuple[tuple[int, int], ...]:
    """Positions and patches of each image."""
    images = images if isinstance(images, int) else list(images)
    if not images:
        return ()
    vision = size.vision
    if vision is None:
        raise UsageError("This model takes no images", "Plan without images.")
    if isinstance(images, int):
        if images < 0:
            raise UsageError(f"images is {images}", "Give a number, 0 or more, or the images.")
        return ((vision.most_tokens, vision.most_patches),) * images
    from magistral_mlx.prompt.images import ImageGeometry, image_grid, load_image

    geometry = ImageGeometry(
        patch_size=vision.patch, spatial_merge_size=vision.merge, longest_edge=vision.longest_edge
    )
    grids = [
        image_grid(*(each if isinstance(each, tuple) else load_image(each).size), geometry) for each in images
    ]
    return tuple((rows * columns + rows, rows * columns * vision.merge**2) for rows, columns in grids)


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
        cells = [_cell(Plan(size, Machine(recommended_bytes=mac * GIB * share // 12))) for share in (8, 9)]
        lines.append(f"| {format_installed(mac * GIB)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(made: Plan) -> str:
    limit = format_memory(made.machine.limit_bytes or 0)
    if not made.fits:
        return f"{limit}: does not fit"
    contexts = [made.context(bits) for bits in KV_BITS]
    if contexts[0] == made.size.context_length:
        return f"{limit}: {_tokens(contexts[0])}, all of it"
    return f"{limit}: {' / '.join(map(_tokens, contexts))}"


def _tokens(count: int) -> str:
    """Thousands of tokens, rounded down: a promise must hold."""
    return f"{count // 1000}k"
