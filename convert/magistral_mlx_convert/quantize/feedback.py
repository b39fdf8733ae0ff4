"""Error feedback: a column that is rounded hands its error on to the columns that are still exact.

This is GPTQ (https://arxiv.org/abs/2210.17323) with the range of each group searched when its turn comes, so
that it fits the weights as the feedback has changed them. Arrays here lie the other way round, [columns,
rows], because the work goes column by column.
"""

# pyright: reportUnknownMemberType=false
# Reason: mlx leaves *shape, *axes and *args of its array methods without types.

from dataclasses import dataclass

import mlx.core as mx

from magistral_mlx_convert.quantize.curvature import BlockCurvature
from magistral_mlx_convert.quantize.ranges import choose_ranges, codes_of
from magistral_mlx_convert.report.streamed_model import product


@dataclass(frozen=True)
class Quantized:
    """Some columns of a matrix, turned: codes [columns, rows]; scales and biases [groups, rows], float32."""

    codes: mx.array
    scales: mx.array
    biases: mx.array

    def weights(self) -> mx.array:
        """[columns, rows], as they are multiplied with."""
        size = self.codes.shape[0] // self.scales.shape[0]
        return self.codes * mx.repeat(self.scales, size, axis=0) + mx.repeat(self.biases, size, axis=0)


def quantize_with_feedback(
    weights: mx.array, curvature: BlockCurvature, *, group_size: int, bits: int, dtype: mx.Dtype
) -> Quantized:
    """Quantizes some rows of one block of columns.

    Args:
        weights: [columns, rows], float32.
        curvature: of these columns.
        group_size: columns that share a scale.
        bits: of a code.
        dtype: in which scales and biases are stored.
    """
    left = weights[curvature.order]
    importance = curvature.importance[curvature.order][:, None]
    codes: list[mx.array] = []
    scales: list[mx.array] = [weights] * len(curvature.groups)
    biases: list[mx.array] = [weights] * len(curvature.groups)
    for place, group in enumerate(curvature.groups):
        here = slice(place * group_size, (place + 1) * group_size)
        scale, bias = choose_ranges(left[:group_size], importance[here], bits=bits, dtype=dtype)
        factor = curvature.factor[here, place * group_size :]
        rounded, errors = _round_group(left[:group_size], scale, bias, factor[:, :group_size], bits)
        codes.append(rounded)
        scales[group], biases[group] = scale, bias
        left = left[group_size:]
        if left.shape[0]:
            left = left - product(mx.contiguous(factor[:, group_size:].T), mx.contiguous(errors.T))
        mx.eval(left, codes[-1])
    back = mx.argsort(curvature.order)
    return Quantized(mx.concatenate(codes)[back], mx.concatenate(scales), mx.concatenate(biases))


def _round_group(
    columns: mx.array, scale: mx.array, bias: mx.array, factor: mx.array, bits: int
) -> tuple[mx.array, mx.array]:
    """Codes of one group [size, rows], and the errors that the later groups get their share of."""
    codes: list[mx.array] = []
    errors: list[mx.array] = []
    for place in range(columns.shape[0]):
        column = columns[:1]
        code = codes_of(column, scale, bias, bits)
        error = (column - (code * scale + bias)) / factor[place, place]
        columns = columns[1:] - factor[place, place + 1 :, None] * error
        codes.append(code)
        errors.append(error)
        if place % 8 == 7:
            mx.eval(columns, code, error)
    return mx.concatenate(codes), mx.concatenate(errors)
