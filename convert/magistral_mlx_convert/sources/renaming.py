"""Give the tensors of a foreign format their Hugging Face names, and check them against its own config.

`mapping` knows Hugging Face names only. A format with other names maps its own onto them first. Errors use
the format's own names.
"""

import math
import re
from collections.abc import Callable, Mapping

from magistral_mlx.checkpoint.config import ModelConfig
from magistral_mlx.checkpoint.parameters import parameter_shapes
from magistral_mlx.errors import ConversionError
from magistral_mlx_convert.sources.mapping import source_names
from magistral_mlx_convert.sources.source import SourceTensor

Rules = tuple[tuple[re.Pattern[str], str], ...]
"""Patterns on Hugging Face names with their replacements; the first that matches the whole name counts."""


def source_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Every parameter under its Hugging Face name on disk, with the shape that PyTorch stores."""
    return {source_names(target)[0]: _stored(shape) for target, shape in parameter_shapes(config).items()}


def _stored(shape: tuple[int, ...]) -> tuple[int, ...]:
    # A convolution: out, height, width, in here; out, in, height, width there.
    return (shape[0], shape[3], shape[1], shape[2]) if len(shape) == 4 else shape


def spelled(name: str, rules: Rules) -> str:
    """The name that `rules` give a Hugging Face name."""
    for pattern, replacement in rules:
        if match := pattern.fullmatch(name):
            return match.expand(replacement)
    raise ValueError(f"no rule for {name}")


def renamed(
    held: Mapping[str, SourceTensor],
    config: ModelConfig,
    own_name: Callable[[str], str],
    *,
    where: Callable[[str], str],
    config_file: str,
    remedy: str,
) -> dict[str, SourceTensor]:
    """`held`, keyed by Hugging Face names; tensors that fill nothing keep their own.

    Args:
        held: tensors by the format's own names.
        own_name: Hugging Face name -> the format's name.
        where: Hugging Face name -> the file or folder that should hold it.
        config_file: what decides on the shapes, for messages.
        remedy: what to do about a tensor that is missing.

    Raises:
        ConversionError: a parameter has no tensor, or one of another shape than the config says.
    """
    rest = dict(held)
    found: dict[str, SourceTensor] = {}
    for name, shape in source_shapes(config).items():
        own = own_name(name)
        tensor = rest.pop(own, None)
        if tensor is None:
            raise ConversionError(f"{where(name)} lacks {own}", remedy)
        if tensor.shape != shape:
            raise ConversionError(
                f"{own} in {tensor.file} is {list(tensor.shape)}, but {config_file} asks for {list(shape)}",
                f"Use the {config_file} that belongs to these weights.",
            )
        found[name] = tensor
    return found | rest


ReadRows = Callable[[int, memoryview], None]
"""Fills a buffer with whole rows, from that row on."""


def rotary_head_dim(name: str, config: ModelConfig) -> int | None:
    """Rows of one head, for the name (in the spelling of Hugging Face) of a matrix that is permuted.

    None for every other tensor: RoPE rotates only queries and keys, in the text model and the vision tower.
    """
    if not name.endswith((".q_proj.weight", ".k_proj.weight")):
        return None
    if name.startswith("language_model."):
        return config.text.head_dim
    return config.vision.head_dim if config.vision is not None else None


def read_permuted(read: ReadRows, first: int, into: memoryview, *, row_bytes: int, head_dim: int) -> None:
    """Fill `into` with rows of a matrix in the order of Hugging Face, from row `first` on.

    RoPE pairs the rows of a head: 2i and 2i + 1 in native order, i and i + head_dim/2 in Hugging Face's.

    Args:
        read: reads rows in native order.
        row_bytes: bytes of one row.
        head_dim: rows of one head; the matrix has whole heads.
    """
    rows = into.nbytes // row_bytes
    first_head, last_head = first // head_dim, math.ceil((first + rows) / head_dim)
    native = memoryview(bytearray((last_head - first_head) * head_dim * row_bytes))
    read(first_head * head_dim, native)
    half = head_dim // 2
    for target in range(rows):
        head, place = divmod(first + target, head_dim)
        part, pair = divmod(place, half)
        start = ((head - first_head) * head_dim + 2 * pair + part) * row_bytes
        into[target * row_bytes : (target + 1) * row_bytes] = native[start : start + row_bytes]
