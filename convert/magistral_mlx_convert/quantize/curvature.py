"""What a matrix's inputs say about its errors: second moments, and the factor that error feedback needs.

A matrix that reads x and is off by E changes its output by E x. Summed over the calibration's tokens, the
squared change is trace(E G E^T) with the Gram matrix G = sum of x x^T. Matrices with very wide inputs get the
blocks on the diagonal of G alone (`widths`): errors in different blocks are then taken as unrelated.
"""

# pyright: reportUnknownMemberType=false
# Reason: mlx leaves *shape, *axes and *args of its array methods without types.

from collections.abc import Sequence
from dataclasses import dataclass

import mlx.core as mx

from magistral_mlx_convert.report.streamed_model import product

WIDEST = 8192
"""Columns of the largest whole Gram matrix, 268 MB; wider matrices get blocks of `BLOCK`."""

BLOCK = 2048

DAMPING = 0.05
"""Share of the mean of the diagonal that is added to it: what the calibration has not seen may still come."""


def block_widths(columns: int, group_size: int) -> tuple[int, ...]:
    """How the columns of a matrix are cut into blocks; each is a whole number of groups."""
    if columns <= WIDEST:
        return (columns,)
    width = BLOCK // group_size * group_size
    whole, rest = divmod(columns, width)
    return (width,) * whole + ((rest,) if rest else ())


class Gram:
    """Adds up x x^T over tokens, in blocks."""

    def __init__(self, widths: Sequence[int]) -> None:
        self.blocks = [mx.zeros((width, width)) for width in widths]

    def add(self, inputs: mx.array) -> None:
        """Takes [tokens, columns], float32."""
        first = 0
        for place, block in enumerate(self.blocks):
            last = first + block.shape[0]
            columns = mx.contiguous(inputs[:, first:last].T)
            self.blocks[place] = block + product(columns, columns)
            mx.eval(self.blocks[place])
            first = last


@dataclass(frozen=True)
class BlockCurvature:
    """One block of columns, ready for error feedback.

    `order` puts the columns in the order in which they are quantized: groups that matter most first, and
    within a group the columns that matter most first, since later columns can make up for earlier errors.
    `factor` is upper triangular in that order, with factor^T factor = (damped G)^-1.
    """

    importance: mx.array
    """[width], the diagonal of the damped Gram matrix over its mean."""
    order: mx.array
    """[width]"""
    groups: tuple[int, ...]
    """The groups in the order in which they are quantized."""
    factor: mx.array
    """[width, width]"""


def block_curvature(gram: mx.array, group_size: int, *, damping: float = DAMPING) -> BlockCurvature:
    """Prepares a Gram matrix for groups of `group_size` columns."""
    width = gram.shape[0]
    diagonal = mx.diagonal(gram)
    mean = float(mx.mean(diagonal))
    # Inputs that are all zero tell nothing: every column then counts alike.
    damped = gram + (damping * mean if mean > 0 else 1.0) * mx.eye(width)
    diagonal = mx.diagonal(damped)
    importance = diagonal / mx.mean(diagonal)
    of_groups = mx.sum(importance.reshape(-1, group_size), axis=1)
    groups = mx.argsort(-of_groups)
    within = mx.argsort(-importance.reshape(-1, group_size), axis=1)
    order = (groups[:, None] * group_size + within[groups]).reshape(-1)
    factor = _factor(damped[order][:, order])
    mx.eval(importance, order, factor, groups)
    ranks: list[int] = groups.tolist()  # type: ignore[assignment]  # one axis, so a flat list
    return BlockCurvature(importance=importance, order=order, groups=tuple(ranks), factor=factor)


def _factor(gram: mx.array) -> mx.array:
    """The upper triangular U with U^T U = gram^-1.

    The Cholesky factor L of the matrix turned upside down gives gram = R R^T with R upper triangular, and
    U = R^-1.
    """
    lower = mx.linalg.cholesky(gram[::-1, ::-1], stream=mx.cpu)
    inverse = mx.linalg.tri_inv(lower, upper=False, stream=mx.cpu)
    return mx.contiguous(inverse[::-1, ::-1])
