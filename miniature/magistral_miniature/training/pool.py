"""A pool of pictures with the features that the trained, frozen eye gives for them.

Usage, after `train_eye`:

    python -m magistral_miniature.training.pool --eye runs/eye.pt --to runs/pool.pt --count 60000 --seed 1
"""

import argparse
import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from magistral_miniature.publishing.gallery import render, training_fonts
from magistral_miniature.publishing.published import published_eye
from magistral_miniature.training.eye import Eye
from magistral_miniature.training.shape import SHAPE
from magistral_mlx.miniature.images import BarChart, Grid, random_chart, random_grid

__all__ = ["Pool", "draw_picture", "frozen_eye", "main"]


@dataclass
class Pool:
    """Pictures and, one after another, the features of their cells.

    Attributes:
        pictures: descriptions.
        features: [cells of all pictures, hidden], bfloat16.
        starts: index of the first feature of each picture, and at the end their number.
    """

    pictures: list[Grid | BarChart]
    features: Tensor
    starts: list[int]

    def save(self, path: Path) -> None:
        """Write the pool to a file."""
        torch.save((self.pictures, self.features, self.starts), path)

    @classmethod
    def load(cls, path: Path) -> "Pool":
        """Read a pool that `save` wrote."""
        return cls(*torch.load(path, weights_only=False))

    def size(self, number: int) -> tuple[int, int]:
        """Rows and columns of a picture's tokens."""
        return token_grid(self.pictures[number])

    def of(self, numbers: list[int]) -> Tensor:
        """Return the features of these pictures, one after another, as float32."""
        if not numbers:
            return torch.zeros(0, SHAPE.hidden)
        parts = [self.features[self.starts[n] : self.starts[n + 1]] for n in numbers]
        return torch.cat(parts).float()


def token_grid(picture: Grid | BarChart) -> tuple[int, int]:
    """Rows and columns of merged tokens of a picture."""
    if isinstance(picture, Grid):
        return picture.rows, picture.columns
    return 6, len(picture.labels)


def draw_picture(rng: random.Random) -> Grid | BarChart:
    """Return a random picture; half of the grids hold only a few kinds, so that counts grow."""
    if rng.random() < 0.5:
        return random_chart(rng)
    kinds = rng.randint(1, 5) if rng.random() < 0.5 else None
    empty = 0.3 if rng.random() < 0.7 else rng.random()
    return random_grid(rng, kinds=kinds, empty=empty)


def frozen_eye(path: Path) -> Eye:
    """Load a trained eye with its weights rounded to bfloat16, as they are published.

    Args:
        path: a file that `train_eye` wrote, or an exported folder.
    """
    if path.is_dir():
        return published_eye(path)
    eye = Eye(SHAPE)
    eye.load_state_dict(torch.load(path))
    eye.multi_modal_projector.linear_2.weight.data /= 8  # to the scale of token embeddings
    for parameter in eye.parameters():
        parameter.data = parameter.data.bfloat16().float()
        parameter.requires_grad = False
    return eye.eval()


@torch.no_grad()
def build(eye: Eye, count: int, seed: int, *, fast: bool = True) -> Pool:
    """Draw pictures and look at them, in bfloat16 if `fast`."""
    rng, fonts = random.Random(seed), training_fonts()
    pictures = [draw_picture(rng) for _ in range(count)]
    by_size: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, picture in enumerate(pictures):
        by_size[token_grid(picture)].append(number)
    starts = [0]
    for picture in pictures:
        rows, columns = token_grid(picture)
        starts.append(starts[-1] + rows * columns)
    features = torch.empty(starts[-1], SHAPE.hidden, dtype=torch.bfloat16)
    for (rows, columns), numbers in by_size.items():
        step = max(1, 2_000 // (rows * columns))
        for begin in range(0, len(numbers), step):
            chunk = numbers[begin : begin + step]
            images = torch.stack([render(pictures[n], rng, fonts) for n in chunk])
            with torch.autocast("cpu", torch.bfloat16, enabled=fast):
                states = eye(images)
            for number, seen in zip(chunk, states, strict=True):
                features[starts[number] : starts[number + 1]] = seen.bfloat16()
    return Pool(pictures, features, starts)


def main() -> None:
    """Build a pool and save it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--eye", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--count", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--exact", action="store_true", help="compute in float32")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    eye = frozen_eye(options.eye)
    build(eye, options.count, options.seed, fast=not options.exact).save(options.to)


if __name__ == "__main__":
    main()
