"""Plan every output byte before the first one is written: arithmetic on headers, no arrays.

The plan fixes the files, their tensors and their sizes. The writer can then put headers first, preflight
knows the disk space, and a later run can continue an interrupted one.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from magistral_mlx.checkpoint.config import ModelConfig, Quantization
from magistral_mlx.checkpoint.parameters import packed_shapes
from magistral_mlx.checkpoint.safetensors_header import ITEM_BYTES
from magistral_mlx.errors import UsageError
from magistral_mlx_convert.planning.recipe import Recipe
from magistral_mlx_convert.sources.mapping import Parameter, WeightMap
from magistral_mlx_convert.sources.source import SourceTensor, in_blocks

SHARD_BYTES = 1_000_000_000
"""A shard is closed before it would grow past this; a single larger tensor still gets its own."""

PAGE_BYTES = 16384
"""The data section starts on a page of Apple silicon, so that it can be mapped into memory."""

_SAVED_ORDER = (
    "vision_tower.",
    "multi_modal_projector.",
    "language_model.model.embed_tokens.",
    "language_model.model.layers.",
    "language_model.model.norm.",
    "language_model.lm_head.",
)
_LAYER = re.compile(r"language_model\.model\.layers\.(\d+)\.")

SAFETENSORS_DTYPE = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}


@dataclass(frozen=True)
class OutputTensor:
    """One stored tensor, in the order of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


@dataclass(frozen=True)
class Unit:
    """One parameter and what is stored for it: itself, or codes, scales and biases."""

    parameter: Parameter
    packing: Quantization | None
    outputs: tuple[OutputTensor, ...]
    kept: bool = False
    """The source's bytes are copied unchanged, packed or not."""
    blocks: str | None = None
    """The type of the GGUF blocks whose codes are taken over; the source then delivers them as bytes."""

    @property
    def output_bytes(self) -> int:
        return sum(output.nbytes for output in self.outputs)

    @property
    def source_bytes(self) -> int:
        """Bytes of the rows as `read_rows` delivers them; progress counts these."""
        source = self.parameter.source
        return math.prod(source.shape) * ITEM_BYTES[source.dtype]

    @property
    def bytes_in_source(self) -> int:
        """Bytes in the source's file, packed or not."""
        packed = self.parameter.source.packed_bytes
        return self.source_bytes if packed is None else packed


@dataclass(frozen=True)
class Shard:
    """One output file."""

    file: str
    units: tuple[Unit, ...]

    @property
    def header(self) -> bytes:
        """Length and JSON, padded with spaces so that the data section starts on a page."""
        entries: dict[str, object] = {"__metadata__": {"format": "mlx"}}
        position = 0
        for output in (output for unit in self.units for output in unit.outputs):
            end = position + output.nbytes
            entries[output.name] = {
                "dtype": output.dtype, "shape": list(output.shape), "data_offsets": [position, end]
            }  # fmt: skip
            position = end
        text = json.dumps(entries, separators=(",", ":")).encode()
        length = -(-(len(text) + 8) // PAGE_BYTES) * PAGE_BYTES - 8
        return length.to_bytes(8, "little") + text.ljust(length)

    @property
    def nbytes(self) -> int:
        return len(self.header) + sum(unit.output_bytes for unit in self.units)


@dataclass(frozen=True)
class Plan:
    """The whole job."""

    config: ModelConfig
    recipe: Recipe
    shards: tuple[Shard, ...]

    @property
    def units(self) -> tuple[Unit, ...]:
        return tuple(unit for shard in self.shards for unit in shard.units)

    @property
    def source_bytes(self) -> int:
        return sum(unit.source_bytes for unit in self.units)

    @property
    def bytes_in_source(self) -> int:
        return sum(unit.bytes_in_source for unit in self.units)

    @property
    def output_bytes(self) -> int:
        return sum(shard.nbytes for shard in self.shards)


def make_plan(config: ModelConfig, weights: WeightMap, recipe: Recipe) -> Plan:
    """Decides on every stored tensor.

    Raises:
        UsageError: the recipe's group size does not divide the rows of a matrix that it quantizes.
    """
    in_order = sorted(weights.parameters, key=_saved_place)
    units = [_unit(parameter, recipe, config) for parameter in in_order]
    return Plan(config=config, recipe=recipe, shards=_in_shards(units))


def keep_plan(config: ModelConfig, stored: Mapping[str, SourceTensor], recipe: Recipe) -> Plan:
    """Plan to copy the tensors of another MLX conversion unchanged.

    Args:
        config: of that conversion, with its packing.
        stored: name in the converted folder -> tensor.
        recipe: its name and packing, for config.json and the card.
    """
    units: list[Unit] = []
    # One source file after the other: the hub may still deliver the later ones.
    for name, tensor in sorted(stored.items(), key=lambda item: item[1].file):
        path = name.rpartition(".")[0]
        packing = config.quantization and config.quantization.of_module(
            path, has_scales=f"{path}.scales" in stored
        )
        parameter = Parameter(name=name, shape=tensor.shape, source=tensor)
        output = OutputTensor(name=name, dtype=tensor.dtype, shape=tensor.shape)
        units.append(Unit(parameter=parameter, packing=packing, outputs=(output,), kept=True))
    return Plan(config=config, recipe=recipe, shards=_in_shards(units))


def _in_shards(units: Sequence[Unit]) -> tuple[Shard, ...]:
    groups: list[list[Unit]] = []
    filled = 0
    for unit in units:
        if not groups or filled + unit.output_bytes > SHARD_BYTES:
            groups.append([])
            filled = 0
        groups[-1].append(unit)
        filled += unit.output_bytes
    return tuple(
        Shard(file=f"model-{number:05}-of-{len(groups):05}.safetensors", units=tuple(group))
        for number, group in enumerate(groups, start=1)
    )


def _saved_place(parameter: Parameter) -> tuple[int, int, bool]:
    """Sort key, in the order in which Transformers saves; each layer's norms come last.

    The conversion then reads the source's shards one after the other.
    """
    for rank, prefix in enumerate(_SAVED_ORDER):
        if parameter.name.startswith(prefix):
            layer = _LAYER.match(parameter.name)
            return rank, int(layer[1]) if layer else 0, layer is not None and len(parameter.shape) == 1
    raise ValueError(f"{parameter.name} has no place")


def _unit(parameter: Parameter, recipe: Recipe, config: ModelConfig) -> Unit:
    packing = recipe.packing_of(parameter, config)
    dtype = SAFETENSORS_DTYPE[recipe.dtype]
    if packing is None:
        output = OutputTensor(name=parameter.name, dtype=dtype, shape=parameter.shape)
        return Unit(parameter=parameter, packing=None, outputs=(output,))
    columns = parameter.shape[-1]
    # The kernels pack 32 columns at a time, whatever the group.
    if columns % packing.group_size or columns % 32:
        raise UsageError(
            f"{parameter.name} has rows of {columns}, which groups of {packing.group_size} do not divide",
            "Choose a smaller group size, or --bits 16.",
        )
    stored = packed_shapes(parameter.name, parameter.shape, packing)
    outputs = tuple(
        OutputTensor(name=name, dtype=dtype if kind == "float" else kind, shape=shape)
        for name, (shape, kind) in stored.items()
    )
    source = parameter.source
    if recipe.keeps_codes and source.blocks is not None:
        parameter = replace(parameter, source=in_blocks(source))
        return Unit(parameter=parameter, packing=packing, outputs=outputs, blocks=source.blocks)
    return Unit(parameter=parameter, packing=packing, outputs=outputs)
