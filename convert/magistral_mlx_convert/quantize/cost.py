"""What a calibrated conversion takes beyond a plain one: memory, disk and time, told before it starts."""

# pyright: reportUnknownMemberType=false
# Reason: mlx leaves *shape, *axes and *args of its array methods without types.

import math
import time
from collections.abc import Callable

import mlx.core as mx

from magistral_mlx.checkpoint.parameters import VISION_PREFIXES
from magistral_mlx_convert.planning.plan import Plan, Unit
from magistral_mlx_convert.quantize.activations import BATCH_TOKENS, KEPT_FILES
from magistral_mlx_convert.quantize.curvature import block_curvature, block_widths
from magistral_mlx_convert.quantize.feedback import quantize_with_feedback
from magistral_mlx_convert.report.streamed_model import product
from magistral_mlx_convert.report.weights import CHUNK_WEIGHTS
from magistral_mlx_convert.writing.preflight import CalibrationCost

_FLOAT = 4
_READERS = ("self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj")
"""Matrices that read something of their own."""

_TURNED_COPIES = 6
"""Of the rows that are being quantized, in float32."""

_FACTOR_STEPS = 4
"""Copies of a Gram matrix while its factor is made."""


def calibration_cost(plan: Plan, tokens: int, *, chunk_bytes: int) -> CalibrationCost:
    """The cost of calibrating `plan` on so many tokens.

    Args:
        plan: of the conversion.
        tokens: of the calibration, image positions included.
        chunk_bytes: source bytes that are quantized at a time.
    """
    return CalibrationCost(
        tokens=tokens,
        memory_bytes=_memory(plan, chunk_bytes),
        disk_bytes=KEPT_FILES * tokens * plan.config.text.hidden_size * _FLOAT,
        seconds=_seconds(plan, tokens),
    )


def _memory(plan: Plan, chunk_bytes: int) -> int:
    text = plan.config.text
    widths = {name: _widths(unit) for unit in plan.units if (name := _reader(unit))}
    grams = _FLOAT * sum(width**2 for blocks in widths.values() for width in blocks)
    largest = _FLOAT * max(width**2 for blocks in widths.values() for width in blocks)
    forward = _FLOAT * (
        BATCH_TOKENS * (2 * text.intermediate_size + 8 * text.hidden_size) + 4 * CHUNK_WEIGHTS
    )
    rows = _TURNED_COPIES * 2 * chunk_bytes
    return grams + max(forward, _FACTOR_STEPS * largest + rows)


def _seconds(plan: Plan, tokens: int) -> float:
    matrices = [unit for unit in plan.units if unit.packing and _is_calibrated(unit)]
    weights = sum(math.prod(unit.parameter.shape) for unit in matrices)
    grams = sum(width**2 for unit in plan.units if _is_reader(unit) for width in _widths(unit))
    updates = sum(unit.parameter.shape[0] * width**2 for unit in matrices for width in _widths(unit))
    operations = 2 * tokens * (weights + grams) + updates
    bits = plan.recipe.whole.bits if plan.recipe.whole else 4
    return operations / _operations_per_second() + weights / _weights_per_second(bits)


def _reader(unit: Unit) -> str | None:
    """The kind of a matrix of the first layer that reads something of its own."""
    name = unit.parameter.name
    if not name.startswith("language_model.model.layers.0."):
        return None
    return next((kind for kind in _READERS if kind in name), None)


def _is_reader(unit: Unit) -> bool:
    return any(kind in unit.parameter.name for kind in _READERS)


def _is_calibrated(unit: Unit) -> bool:
    return len(unit.parameter.shape) == 2 and not unit.parameter.name.startswith(VISION_PREFIXES)


def _widths(unit: Unit) -> tuple[int, ...]:
    return block_widths(unit.parameter.shape[-1], unit.packing.group_size if unit.packing else 64)


def _operations_per_second() -> float:
    a, b = mx.random.normal((1024, 1024)), mx.random.normal((1024, 1024))
    mx.eval(a, b)
    return 2 * 1024**3 / _fastest(lambda: mx.eval(product(a, b)))


def _weights_per_second(bits: int) -> float:
    columns, rows = 128, 1024
    weights = mx.random.normal((columns, rows))
    curvature = block_curvature(mx.eye(columns), 64)
    mx.eval(weights)

    def quantize() -> None:
        done = quantize_with_feedback(weights, curvature, group_size=64, bits=bits, dtype=mx.bfloat16)
        mx.eval(done.codes)

    return columns * rows / _fastest(quantize)


def _fastest(work: Callable[[], None]) -> float:
    seconds: list[float] = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return max(min(seconds), 1e-9)
