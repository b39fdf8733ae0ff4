"""MLX's affine 4-bit quantization in torch, and training through it.

The formula is that of `mlx.core.quantize` (groups of 64 along the input, 4 bits). The end of the range with
the larger magnitude is exact, and zero is one of the levels. Scales and biases are bfloat16.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["dequantized", "quantized_parameters", "through_quantization"]

GROUP, LEVELS = 64, 15


def dequantized(weights: Tensor) -> Tensor:
    """Return weights [.., multiple of 64] after 4-bit quantization and back."""
    groups = weights.detach().bfloat16().float().reshape(-1, GROUP)
    low, high = groups.amin(1, keepdim=True), groups.amax(1, keepdim=True)
    low_is_edge = low.abs() > high.abs()
    scale = ((high - low) / LEVELS).clamp_min(1e-7)
    scale = torch.where(low_is_edge, scale, -scale)
    edge = torch.where(low_is_edge, low, high)
    zero = torch.round(edge / scale)
    scale = torch.where(zero != 0, edge / zero, scale)
    bias = torch.where(zero != 0, edge, torch.zeros_like(edge))
    levels = torch.round((groups - bias) / scale).clamp_(0, LEVELS)
    scale, bias = scale.bfloat16().float(), bias.bfloat16().float()
    return (levels * scale + bias).reshape(weights.shape)


def quantized_parameters(decoder: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that a 4-bit conversion quantizes: all matrices of the decoder."""
    return [parameter for parameter in decoder.parameters() if parameter.ndim == 2]


@contextmanager
def through_quantization(decoder: nn.Module, share: float = 1.0) -> Iterator[None]:
    """Run with quantized weights and restore the exact ones afterwards (straight-through).

    Args:
        decoder: module whose matrices are quantized.
        share: 0 means exact weights, 1 quantized ones; values between blend them.
    """
    if share == 0:
        yield
        return
    parameters = quantized_parameters(decoder)
    exact = [parameter.data for parameter in parameters]
    flat = torch.cat([data.reshape(-1) for data in exact])
    blended = flat.lerp(dequantized(flat), share)
    offset = 0
    for parameter, data in zip(parameters, exact, strict=True):
        parameter.data = blended[offset : offset + data.numel()].view(data.shape)
        offset += data.numel()
    try:
        yield
    finally:
        for parameter, data in zip(parameters, exact, strict=True):
            parameter.data = data
