"""Batches of conversations of similar length, made in a separate process."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path

import numpy as np
import torch

from magistral_miniature.tasks.conversations import Control, Image, Piece, Text, converse, render
from magistral_miniature.tasks.copying import copies
from magistral_miniature.tasks.looking import marks
from magistral_miniature.training.pool import token_grid
from magistral_miniature.training.tokens import Encoder
from magistral_miniature.wordings.phrasing import Split
from magistral_mlx.miniature.images import BarChart, Grid

__all__ = ["Batch", "batches", "feed"]

_LONGEST = 800
_PAD = 11


@dataclass(frozen=True)
class Batch:
    """Conversations padded on the right.

    Attributes:
        ids: [conversations, length].
        learned: whether the model is trained to predict each id.
        places: row and column of each [IMG] in its image, [count, 2].
        looks: for tokens that come from an image (head 0) or repeat a token (head 1): conversation, head,
            position of the token before, position of the source, [count, 4].
        images: numbers of the images in the order of their [IMG] ids.
    """

    ids: np.ndarray
    learned: np.ndarray
    places: np.ndarray
    looks: np.ndarray
    images: list[int]


def batches(
    images: list[Grid | BarChart], encoder: Encoder, rng: random.Random, size: int
) -> Iterator[Batch]:
    """Yield batches of about `size` padded tokens without end."""

    def pick() -> tuple[int, Grid | BarChart]:
        number = rng.randrange(len(images))
        return number, images[number]

    while True:
        samples = [_sample(images, encoder, rng, pick, "train") for _ in range(1_500)]
        samples = sorted((s for s in samples if len(s[0]) <= _LONGEST), key=lambda s: len(s[0]))
        made, group = [], []
        for sample in samples:
            group.append(sample)
            if len(group) * len(sample[0]) >= size:
                made.append(_batch(images, group))
                group = []
        rng.shuffle(made)
        yield from made


_Pairs = list[tuple[int, int]]
_Sample = tuple[list[int], list[bool], list[int], _Pairs, _Pairs]


def _sample(
    images: list[Grid | BarChart],
    encoder: Encoder,
    rng: random.Random,
    pick: Callable[[], tuple[int, Grid | BarChart]],
    split: Split,
) -> _Sample:
    pieces = render(converse(rng, pick, split))
    numbers = [piece.number for piece in pieces if isinstance(piece, Image)]
    ids, learned = encoder.pieces(pieces, {n: token_grid(images[n]) for n in numbers})
    looks = _looks(pieces, images, encoder)
    return ids, learned, numbers, looks, _copied(pieces, images, encoder)


def _looks(pieces: list[Piece], images: list[Grid | BarChart], encoder: Encoder) -> list[tuple[int, int]]:
    """Return pairs (position before a word, position of the [IMG] token that holds the word)."""
    looks: list[tuple[int, int]] = []
    position, first, columns, shown = 0, 0, 0, None
    for piece in pieces:
        if isinstance(piece, Image):
            shown, first = images[piece.number], position
            columns = token_grid(shown)[1]
        elif isinstance(piece, Text) and piece.learned and shown is not None:
            places = encoder.places(piece.text)
            for mark in marks(piece.text, shown):
                row, column = divmod(mark.cell, columns)
                look = first + row * (columns + 1) + column + mark.after
                looks.append((position + places[mark.place] - 1, look))
        position += _length(piece, images, encoder)
    return looks


def _copied(pieces: list[Piece], images: list[Grid | BarChart], encoder: Encoder) -> list[tuple[int, int]]:
    """Return pairs (position before a token that repeats an earlier one, position of the earlier one)."""
    pairs: list[tuple[int, int]] = []
    turn: dict[str, tuple[int, Text]] = {}
    position = 0
    for piece in pieces:
        if isinstance(piece, Control) and piece.name == "[INST]":
            turn = {}
        elif isinstance(piece, Text):
            name = ("question", "thought", "answer")[min(len(turn), 2)]
            turn[name] = (position, piece)
        elif isinstance(piece, Control) and piece.name == "</s>" and len(turn) == 3:
            starts = {n: (at, encoder.places(text.text)) for n, (at, text) in turn.items()}
            if turn["thought"][1].learned:
                texts = [turn[n][1].text for n in ("question", "thought", "answer")]
                for (name, to), (other, source) in copies(*texts):
                    key = starts[other][0] + starts[other][1][source]
                    pairs.append((starts[name][0] + starts[name][1][to] - 1, key))
        position += _length(piece, images, encoder)
    return pairs


def _length(piece: Piece, images: list[Grid | BarChart], encoder: Encoder) -> int:
    if isinstance(piece, Image):
        rows, columns = token_grid(images[piece.number])
        return rows * (columns + 1)
    return len(encoder.text(piece.text)) if isinstance(piece, Text) else 1


def _batch(images: list[Grid | BarChart], group: list[_Sample]) -> Batch:
    length = max(len(ids) for ids, *_ in group)
    ids = np.full((len(group), length), _PAD, np.int64)
    learned = np.zeros((len(group), length), bool)
    numbers: list[int] = []
    looks: list[tuple[int, int, int, int]] = []
    for row, (tokens, flags, shown, seen, repeated) in enumerate(group):
        looks += [(row, 0, query, key) for query, key in seen]
        looks += [(row, 1, query, key) for query, key in repeated]
        ids[row, : len(tokens)] = tokens
        learned[row, : len(flags)] = flags
        numbers += shown
    places = [
        (row, column)
        for number in numbers
        for row in range(token_grid(images[number])[0])
        for column in range(token_grid(images[number])[1])
    ]
    table = np.array(looks, np.int64).reshape(-1, 4)
    return Batch(ids, learned, np.array(places, np.int64).reshape(-1, 2), table, numbers)


def feed(
    out: "Queue[Batch]",
    images: list[Grid | BarChart],
    tokenizer: Path,
    seed: int,
    size: int,
) -> None:
    """Put batches into a queue without end; runs in a separate process."""
    torch.set_num_threads(1)
    for batch in batches(images, Encoder(tokenizer), random.Random(seed), size):
        out.put(batch)
