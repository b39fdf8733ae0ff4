"""Load the weights of an opened checkpoint into a model.

Strict: every parameter is filled exactly once, and nothing is left over.
"""

# pyright: reportUnknownMemberType=false
# Reason: mlx leaves *shape, *axes and *args of its array methods without types.

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import mlx.core as mx
import mlx.nn as nn

from magistral_mlx.checkpoint.config import Quantization
from magistral_mlx.checkpoint.folder import Checkpoint
from magistral_mlx.errors import CheckpointError, MemoryLimitError
from magistral_mlx.machine.faults import is_out_of_memory
from magistral_mlx.model.magistral import MagistralModel
from magistral_mlx.sanitize import sanitize_line

_NEVER_ZERO = ("norm", ".scales", "embed_tokens.weight", "lm_head.weight")
"""Parts of names of tensors without which a model says nothing. Every layer has some."""
_FLOATS = (mx.float32, mx.float16, mx.bfloat16)


def default_dtype() -> mx.Dtype:
    """The fastest dtype: bfloat16 on a GPU; float32 on the CPU, which has no bfloat16 units."""
    return mx.bfloat16 if mx.default_device() == mx.Device(mx.gpu) else mx.float32


def load_model(
    checkpoint: Checkpoint,
    *,
    dtype: mx.Dtype | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MagistralModel:
    """Build the model and read every weight once.

    Args:
        checkpoint: a folder that `open_checkpoint` found to be whole.
        dtype: what unpacked weights and scales are kept and computed in; None chooses by device.
        progress: called with bytes read and bytes in all, first with 0 and then after each file.

    Raises:
        CheckpointError: a file changed or vanished since it was opened.
        MemoryLimitError: MLX could not get the memory for the weights.
    """
    dtype = dtype or default_dtype()
    sizes = {file: _size(file) for file in checkpoint.weight_files}
    done, total = 0, sum(sizes.values())
    weights: dict[str, mx.array] = {}
    for file, size in sizes.items():
        if progress:
            progress(done, total)
        loaded = _load_file(file, dtype)
        weights.update(loaded)
        done += size
    if progress:
        progress(done, total)
    model = MagistralModel(checkpoint.config)
    _quantize(model, checkpoint.config.quantization, weights)
    try:
        model.load_weights(list(weights.items()), strict=True)
    except ValueError as error:
        raise CheckpointError(
            f"{checkpoint.directory} changed while it was read: {error}", "Open it again."
        ) from error
    model.eval()
    return model


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as error:
        raise CheckpointError(
            f"{file} can't be read: {error.strerror}", "Check the folder and try again."
        ) from error


def _load_file(file: Path, dtype: mx.Dtype) -> dict[str, mx.array]:
    """All tensors of one file, floats cast to `dtype`, read and evaluated.

    File by file: `mx.load` is lazy, so the cast of one tensor frees its source before the next file is read.
    """
    try:
        lazy = cast(dict[str, mx.array], mx.load(str(file)))
        cast_arrays = {
            name: array.astype(dtype) if array.dtype in _FLOATS else array for name, array in lazy.items()
        }
        lazy.clear()
        mx.eval(cast_arrays)
        broken = _without_numbers(cast_arrays)
    except (RuntimeError, MemoryError, OSError) as error:
        if is_out_of_memory(error):
            raise MemoryLimitError(
                f"{file.parent.name} does not fit into this machine's memory",
                "Close other programs, or use a model of fewer bits.",
            ) from error
        raise CheckpointError(f"{file} can't be loaded: {error}", "Convert or download it again.") from error
    if broken is not None:
        raise CheckpointError(
            f"{file} can't be used: {sanitize_line(broken)}", "Convert or download the model again."
        )
    return cast_arrays


def _without_numbers(arrays: Mapping[str, mx.array]) -> str | None:
    """Say which tensor has values that are no finite numbers, or nothing but zeros; None: none has.

    Packed codes are not looked at: their scales tell. A single matrix may be zero, as training can begin.
    """
    for name, array in arrays.items():
        if array.dtype not in _FLOATS or not array.size:
            continue
        least, most = mx.min(array).item(), mx.max(array).item()  # both hand NaN on
        if not (math.isfinite(cast("float", least)) and math.isfinite(cast("float", most))):
            return f"{name} has values that are no finite numbers"
        if least == most == 0 and any(part in name for part in _NEVER_ZERO):
            return f"{name} is all zeros"
    return None


def _quantize(
    model: MagistralModel, quantization: Quantization | None, stored: Mapping[str, mx.array]
) -> None:
    """Quantize the modules that are stored quantized; their arrays are filled afterwards."""
    if quantization is None:
        return

    def packing(path: str, module: nn.Module) -> bool | dict[str, int | str]:
        if not hasattr(module, "to_quantized"):
            return False
        chosen = quantization.of_module(path, has_scales=f"{path}.scales" in stored)
        if chosen is None:
            return False
        return {"group_size": chosen.group_size, "bits": chosen.bits, "mode": chosen.mode}

    nn.quantize(model, class_predicate=packing)
