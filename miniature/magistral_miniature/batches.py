"""Batches of conversations of similar length, made by a process of their own."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path

import numpy as np
import torch

from magistral_miniature.conversations import Picture, converse, render
from magistral_miniature.phrasing import Split
from magistral_miniature.pool import token_grid
from magistral_miniature.tokens import Encoder
from magistral_mlx.miniature.pictures import BarChart, Grid

__all__ = ["Batch", "batches", "feed"]

_LONGEST = 800
_PAD = 11


@dataclass(frozen=True)
class Batch:
    """Conversations padded on the right.

    Attributes:
        ids: [conversations, length].
        learned: whether the model is trained to predict each id.
        places: row and column of each [IMG] in its picture, [count, 2].
        pictures: numbers of the pictures in the order of their [IMG] ids.
    """

    ids: np.ndarray
    learned: np.ndarray
    places: np.ndarray
    pictures: list[int]


def batches(
    pictures: list[Grid | BarChart], encoder: Encoder, rng: random.Random, size: int
) -> Iterator[Batch]:
    """Yield batches of about `size` padded tokens for ever."""

    def pick() -> tuple[int, Grid | BarChart]:
        number = rng.randrange(len(pictures))
        return number, pictures[number]

    while True:
        samples = [_sample(pictures, encoder, rng, pick, "train") for _ in range(1_500)]
        samples = sorted((s for s in samples if len(s[0]) <= _LONGEST), key=lambda s: len(s[0]))
        made, group = [], []
        for sample in samples:
            group.append(sample)
            if len(group) * len(sample[0]) >= size:
                made.append(_batch(pictures, group))
                group = []
        rng.shuffle(made)
        yield from made


_Sample = tuple[list[int], list[bool], list[int]]


def _sample(
    pictures: list[Grid | BarChart],
    encoder: Encoder,
    rng: random.Random,
    pick: Callable[[], tuple[int, Grid | BarChart]],
    split: Split,
) -> _Sample:
    pieces = render(converse(rng, pick, split))
    numbers = [piece.number for piece in pieces if isinstance(piece, Picture)]
    ids, learned = encoder.pieces(pieces, {n: token_grid(pictures[n]) for n in numbers})
    return ids, learned, numbers


def _batch(pictures: list[Grid | BarChart], group: list[_Sample]) -> Batch:
    length = max(len(ids) for ids, _, _ in group)
    ids = np.full((len(group), length), _PAD, np.int64)
    learned = np.zeros((len(group), length), bool)
    numbers: list[int] = []
    for row, (tokens, flags, shown) in enumerate(group):
        ids[row, : len(tokens)] = tokens
        learned[row, : len(flags)] = flags
        numbers += shown
    places = [
        (row, column)
        for number in numbers
        for row in range(token_grid(pictures[number])[0])
        for column in range(token_grid(pictures[number])[1])
    ]
    return Batch(ids, learned, np.array(places, np.int64).reshape(-1, 2), numbers)


def feed(
    out: "Queue[Batch]",
    pictures: list[Grid | BarChart],
    tokenizer: Path,
    seed: int,
    size: int,
) -> None:
    """Put batches into a queue for ever; the target of a process."""
    torch.set_num_threads(1)
    for batch in batches(pictures, Encoder(tokenizer), random.Random(seed), size):
        out.put(batch)
