"""Divergence of two predictions of the next token, without ever holding a whole row of logits.

With logits a of the source and b of the result, p = softmax(a), q = softmax(b):

    KL(p || q) = sum p (a - b) - log sum exp a + log sum exp b        (in nats)

The vocabulary passes by in pieces. Sums are taken relative to the largest logit so far, as in
https://arxiv.org/abs/1805.02867, and added up in double precision, because a KL divergence of 1e-5 is the
difference of sums near 10.
"""

# pyright: reportUnknownMemberType=false
# Reason: mlx leaves *shape, *axes and *args of its array methods without types.

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from magistral_mlx_convert.report.streamed_model import product

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]

HeadPiece = tuple[int, mx.array]
"""The first token id of some rows of a head, and the rows."""


@dataclass(frozen=True)
class Divergence:
    """One number per position; surprise is -log of the probability of the token that really follows."""

    kl: Doubles
    source_surprise: Doubles
    result_surprise: Doubles
    same_top: NDArray[np.bool_]


def diverge(
    source_states: mx.array,
    result_states: mx.array,
    source_head: Iterable[HeadPiece],
    result_head: Iterable[HeadPiece],
    targets: Integers,
) -> Divergence:
    """Compares the predictions of all positions.

    Args:
        source_states: [positions, hidden], normalised.
        result_states: the same of the other model.
        source_head: rows of the head, in order.
        result_head: the same of the other model, cut alike.
        targets: [positions], the token that follows each.
    """
    source, result = _Side(len(targets)), _Side(len(targets))
    weighted = np.zeros(len(targets))
    for (first, ours), (_, theirs) in zip(source_head, result_head, strict=True):
        a, b = product(source_states, ours), product(result_states, theirs)
        mx.eval(a, b)
        rescale, shares = source.add(first, a, targets)
        result.add(first, b, targets)
        weighted = weighted * rescale + _double(mx.sum(shares * (a - b), axis=1))
    return Divergence(
        # Rounding alone can leave a hair below zero.
        kl=np.maximum(weighted / source.total - source.log_total + result.log_total, 0.0),
        source_surprise=source.log_total - source.target,
        result_surprise=result.log_total - result.target,
        same_top=source.top == result.top,
    )


class _Side:
    """The running sums of one model."""

    def __init__(self, positions: int) -> None:
        self.largest = np.full(positions, -np.inf)
        self.total = np.zeros(positions)
        self.target = np.zeros(positions)
        self.top: Integers = np.zeros(positions, np.int64)

    @property
    def log_total(self) -> Doubles:
        return cast("Doubles", np.log(self.total) + self.largest)

    def add(self, first: int, logits: mx.array, targets: Integers) -> tuple[Doubles, mx.array]:
        """Takes logits [positions, piece]; returns what earlier sums are to be multiplied by, and exp."""
        best = _double(mx.max(logits, axis=1))
        place = np.array(mx.argmax(logits, axis=1), np.int64) + first
        self.top = np.where(best > self.largest, place, self.top)
        largest = np.maximum(self.largest, best)
        rescale = np.exp(self.largest - largest)
        shares = mx.exp(logits - mx.array(largest.astype(np.float32))[:, None])
        # The float32 that was subtracted is what the sums are relative to.
        self.largest = largest.astype(np.float32).astype(np.float64)
        self.total = self.total * rescale + _double(mx.sum(shares, axis=1))
        inside = (targets >= first) & (targets < first + logits.shape[1])
        column = mx.array(np.where(inside, targets - first, 0).astype(np.int32))[:, None]
        picked = _double(mx.take_along_axis(logits, column, axis=1)[:, 0])
        self.target = np.where(inside, picked, self.target)
        return rescale, shares


def _double(array: mx.array) -> Doubles:
    return np.array(array, np.float64)
