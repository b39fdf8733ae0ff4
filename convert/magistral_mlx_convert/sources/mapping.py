"""Map source tensors to parameters: one table, strict in both directions.

Targets are the names that the model itself uses and that mlx-lm and mlx-vlm write, so that the folder loads
in all three. Sources are Hugging Face names in two spellings: the one on disk, which Transformers also saves,
and the one of its memory since 4.52, which some fine-tuners save.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from magistral_mlx.checkpoint.config import ModelConfig
from magistral_mlx.checkpoint.parameters import parameter_shapes
from magistral_mlx.errors import ConversionError
from magistral_mlx_convert.sources.source import SourceTensor

SPELLINGS: tuple[tuple[str, str, str], ...] = (
    # target                     on disk                   in memory
    ("language_model.model.", "language_model.model.", "model.language_model."),
    ("language_model.lm_head.", "language_model.lm_head.", "lm_head."),
    ("vision_tower.vision_model.", "vision_tower.", "model.vision_tower."),
    ("multi_modal_projector.", "multi_modal_projector.", "model.multi_modal_projector."),
)
"""The prefix of a parameter in the converted folder and in both spellings; what follows it is the same."""

DROPPED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\.inv_freq$"), "rotary frequencies: computed from rope_theta"),
    (re.compile(r"\.position_ids$"), "positions: counted, not stored"),
    (re.compile(r"^v\.token_embd\.img_break$"), "a row of the embedding once more, for llama.cpp"),
)
"""Tensors that may be in a source and are not used, each with the reason."""

WEIGHT_DTYPES = ("BF16", "F16", "F32")
"""Dtypes that a source may deliver; it converts others (fp8 with scales, GGUF blocks) to one of these."""

_UNCHANGED = "Use an unchanged Magistral Small checkpoint."


@dataclass(frozen=True)
class Parameter:
    """One parameter of the target and the tensor that fills it.

    A convolution is [out, in, height, width] in PyTorch's layout and [out, height, width, in] in MLX's.
    An MLX conversion delivers it in MLX's layout (`SourceTensor.channels_last`).
    """

    name: str
    shape: tuple[int, ...]
    source: SourceTensor

    @property
    def needs_transpose(self) -> bool:
        """Tell if this is a convolution in PyTorch's layout."""
        return len(self.shape) == 4 and not self.source.channels_last

    @property
    def path(self) -> str:
        """The module's path, as the `quantization` table of config.json names it."""
        return self.name.removesuffix(".weight")


@dataclass(frozen=True)
class WeightMap:
    """The whole decision: parameters in the order of the forward pass, and dropped tensor -> reason."""

    parameters: tuple[Parameter, ...]
    dropped: Mapping[str, str]


def source_names(target: str) -> tuple[str, str]:
    """Both Hugging Face names of a parameter: on disk, in memory."""
    for prefix, on_disk, in_memory in SPELLINGS:
        if target.startswith(prefix):
            rest = target.removeprefix(prefix)
            return on_disk + rest, in_memory + rest
    raise ValueError(f"no source spelling for {target}")


def map_tensors(config: ModelConfig, tensors: Mapping[str, SourceTensor]) -> WeightMap:
    """Decides on every tensor of the source and every parameter of the target.

    Raises:
        ConversionError: a tensor is unknown, has another shape or dtype than the config says, fills a
            parameter for the second time, or a parameter stays empty. The text names the tensor and its file.
    """
    shapes = parameter_shapes(config)
    target_of = {name: target for target in shapes for name in source_names(target)}
    filled: dict[str, Parameter] = {}
    dropped: dict[str, str] = {}
    for name, tensor in tensors.items():
        target = target_of.get(name)
        if target is None:
            dropped[name] = _reason_to_drop(tensor)
            continue
        if target in filled:
            other = filled[target].source.name
            raise ConversionError(f"{other} and {name} both fill {target}", _UNCHANGED)
        filled[target] = Parameter(name=target, shape=shapes[target], source=tensor)
        _check(filled[target])
    if empty := [target for target in shapes if target not in filled]:
        more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
        raise ConversionError(
            f"The checkpoint lacks {source_names(empty[0])[0]}{more}",
            "Download it again; an incomplete copy can't be converted.",
        )
    return WeightMap(parameters=tuple(filled[target] for target in shapes), dropped=dropped)


def _reason_to_drop(tensor: SourceTensor) -> str:
    for pattern, reason in DROPPED:
        if pattern.search(tensor.name):
            return reason
    raise ConversionError(
        f"{tensor.file} holds {tensor.name}, which config.json has no place for", _UNCHANGED
    )


def _check(parameter: Parameter) -> None:
    tensor, expected = parameter.source, parameter.shape
    if parameter.needs_transpose:
        out, height, width, channels = expected
        expected = (out, channels, height, width)
    if tensor.shape != expected:
        raise ConversionError(
            f"{tensor.name} in {tensor.file} is {list(tensor.shape)}, "
            f"but config.json asks for {list(expected)}",
            "Use the config.json that belongs to these weights.",
        )
    if tensor.dtype not in WEIGHT_DTYPES:
        raise ConversionError(
            f"{tensor.name} in {tensor.file} is {tensor.dtype}; only {', '.join(WEIGHT_DTYPES)} are read",
            "Take the bf16 checkpoint.",
        )
