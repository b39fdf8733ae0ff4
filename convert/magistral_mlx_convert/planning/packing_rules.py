"""Rules of packing: one named predicate per family of recipes, the reason on every exception.

A rule looks at one parameter at a time and says how it is packed, or None where it stays in the recipe's
dtype. The rules for the text model share the two exceptions of `_is_text_matrix`.
"""

from collections.abc import Callable

from magistral_mlx.checkpoint.config import ModelConfig, Quantization
from magistral_mlx.checkpoint.parameters import VISION_PREFIXES
from magistral_mlx_convert.sources.gguf.codes import GROUP, code_bits
from magistral_mlx_convert.sources.mapping import Parameter

Rule = Callable[[Parameter, ModelConfig], Quantization | None]
"""Parameter and the model it belongs to -> its packing, or None where it stays in the recipe's dtype."""


def keep_everything(_parameter: Parameter, _config: ModelConfig) -> None:
    """Quantizes nothing."""


def every_text_matrix(packing: Quantization) -> Rule:
    """All matrices of the text model alike: embedding and head too."""

    def rule(parameter: Parameter, _config: ModelConfig) -> Quantization | None:
        # lm_head too: in bf16 it costs 7 % of decode speed and 0.97 GB.
        return packing if _is_text_matrix(parameter) else None

    return rule


def as_in_blocks(parameter: Parameter, _config: ModelConfig) -> Quantization | None:
    """For a GGUF file: keep the bits of blocks of 32, give other packed types 8, quantize nothing else."""
    if not _is_text_matrix(parameter) or not parameter.source.is_packed:
        return None
    bits = code_bits(parameter.source.blocks) if parameter.source.blocks else None
    # Q6_K has blocks of 16 and the IQ types have tables; neither fits MLX's groups.
    return Quantization(bits=bits or 8, group_size=GROUP, mode="affine")


def with_vision(text: Rule, packing: Quantization) -> Rule:
    """`text`, and every matrix of the vision tower and the projector as `packing`."""

    def rule(parameter: Parameter, config: ModelConfig) -> Quantization | None:
        is_matrix = len(parameter.shape) == 2  # the patch convolution has no packed kernel
        if is_matrix and parameter.name.startswith(VISION_PREFIXES):
            return packing
        return text(parameter, config)

    return rule


def _is_text_matrix(parameter: Parameter) -> bool:
    if len(parameter.shape) != 2:
        return False  # norms and the patch convolution: no packed kernel, and 0.01 % of the bytes
    # Tower and projector: 0.63 GB saved would blur every image.
    return not parameter.name.startswith(VISION_PREFIXES)
