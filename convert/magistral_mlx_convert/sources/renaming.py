"""Tensors of a foreign format under the names of Hugging Face, checked against the format's own config.

`mapping` knows one spelling; a format with other names lists which of its tensors fills which, and errors
name what stands in its own files.
"""

import re
from collections.abc import Callable, Mapping

from magistral_mlx.errors import ConversionError
from magistral_mlx.model_config import ModelConfig
from magistral_mlx.parameters import parameter_shapes
from magistral_mlx_convert.mapping import source_names
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
