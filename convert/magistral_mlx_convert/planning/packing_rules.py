"""Rules of packing: one named predicate per family of recipes, the reason on every exception.

A rule looks at one parameter at a time and says how it is packed, or None where it stays in the recipe's
dtype. All of them begin with the same two exceptions (`_is_text_matrix`).
"""

import re
from collections.abc import Callable

from magistral_mlx.checkpoint.config import ModelConfig, Quantization
from magistral_mlx.checkpoint.parameters import VISION_PREFIXES
from magistral_mlx_convert.sources.gguf.rewriting import GROUP, code_bits
from magistral_mlx_convert.sources.mapping import Parameter

Rule = Callable[[Parameter, ModelConfig], Quantization | None]
"""Parameter and the model it belongs to -> its packing, or None where it stays in the recipe's dtype."""

_LAYER = re.compile(r"^language_model\.model\.layers\.(\d+)\.")


def keep_everything(_parameter: Parameter, _config: ModelConfig) -> None:
    """Quantizes nothing."""


def every_text_matrix(packing: Quantization) -> Rule:
    """All matrices of the text model alike: embedding and head too."""

    def rule(parameter: Parameter, _config: ModelConfig) -> Quantization | None:
        # lm_head too: in bf16 it costs 7 % of decode speed and 0.97 GB.
        return packing if _is_text_matrix(parameter) else None

    return rule


def more_for_the_sensitive(low: Quantization, high: Quantization) -> Rule:
    """`low` for most of the text model and `high` where errors hurt most, as llama.cpp's Q4_K_M chooses.

    The same choice as `mixed_4_6` of mlx-lm and mlx-vlm
    (https://gist.github.com/barronalex/84addb8078be21969f1690c1454855f3), embedding as in mlx-vlm.
    """

    def rule(parameter: Parameter, config: ModelConfig) -> Quantization | None:
        if not _is_text_matrix(parameter):
            return None
        layer = _LAYER.match(parameter.name)
        if layer is None:
            return high  # embedding and head: every token passes them, and their errors are not averaged out
        if not parameter.path.endswith(("v_proj", "down_proj")):
            return low
        # Values and the MLP's way back write straight into the residual stream. First and last layers matter
        # most (nothing after the last corrects it); one layer in three between keeps the size down.
        index, layers = int(layer[1]), config.text.num_hidden_layers
        edge = layers // 8
        is_edge = index < edge or index >= 7 * layers // 8
        return high if is_edge or (index - edge) % 3 == 2 else low

    return rule


def as_in_blocks(parameter: Parameter, _config: ModelConfig) -> Quantization | None:
    """Of a GGUF file: blocks of 32 keep their bits, other packed types get 8, the rest is not quantized."""
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
