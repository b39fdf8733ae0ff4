"""A pool of images with their features from the trained, frozen vision tower.

Usage, after `train_vision`:

    python -m magistral_miniature.training.pool --vision runs/vision.pt --to runs/pool.pt --count 36000
    --seed 1
"""

import argparse
import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from magistral_miniature.publishing.gallery import render, training_fonts
from magistral_miniature.publishing.published import published_vision
from magistral_miniature.training.shape import SHAPE
from magistral_miniature.training.vision_tower import VisionTower
from magistral_mlx.miniature.images import BarChart, Grid, random_chart, random_grid

__all__ = ["Pool", "draw_image", "frozen_vision", "main"]


@dataclass
class Pool:
    """Images and the features of their cells.

    Attributes:
        images: descriptions.
        features: [cells of all images, hidden], bfloat16.
        starts: index of the first feature of each image, then the number of features.
    """

    images: list[Grid | BarChart]
    features: Tensor
    starts: list[int]

    def save(self, path: Path) -> None:
        """Write the pool to a file."""
        torch.save((self.images, self.features, self.starts), path)

    @classmethod
    def load(cls, path: Path) -> "Pool":
        """Read a pool that `save` wrote."""
        return cls(*torch.load(path, weights_only=False))

    def size(self, number: int) -> tuple[int, int]:
        """Return rows and columns of an image's tokens."""
        return token_grid(self.images[number])

    def of(self, numbers: list[int]) -> Tensor:
        """Return the features of these images, one after another, as float32."""
        if not numbers:
            return torch.zeros(0, SHAPE.hidden)
        parts = [self.features[self.starts[n] : self.starts[n + 1]] for n in numbers]
        return torch.cat(parts).float()


def token_grid(image: Grid | BarChart) -> tuple[int, int]:
    """Return rows and columns of an image's merged tokens."""
    if isinstance(image, Grid):
        return image.rows, image.columns
    return 6, len(image.labels)


def draw_image(rng: random.Random) -> Grid | BarChart:
    """Return a random image; half of the grids hold only a few kinds, which raises counts."""
    if rng.random() < 0.5:
        return random_chart(rng)
    kinds = rng.randint(1, 5) if rng.random() < 0.5 else None
    empty = 0.3 if rng.random() < 0.7 else rng.random()
    return random_grid(rng, kinds=kinds, empty=empty)


def frozen_vision(path: Path) -> VisionTower:
    """Load a trained vision tower and round its weights to bfloat16, as published.

    Args:
        path: a file that `train_vision` wrote, or an exported folder.
    """
    if path.is_dir():
        return published_vision(path)
    vision = VisionTower(SHAPE)
    vision.load_state_dict(torch.load(path))
    vision.multi_modal_projector.linear_2.weight.data /= 8  # to the scale of token embeddings
    for parameter in vision.parameters():
        parameter.data = parameter.data.bfloat16().float()
        parameter.requires_grad = False
    return vision.eval()


@torch.no_grad()
def build(vision: VisionTower, count: int, seed: int, *, fast: bool = True) -> Pool:
    """Draw images and compute their features, in bfloat16 if `fast`."""
    rng, fonts = random.Random(seed), training_fonts()
    images = [draw_image(rng) for _ in range(count)]
    by_size: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, image in enumerate(images):
        by_size[token_grid(image)].append(number)
    starts = [0]
    for image in images:
        rows, columns = token_grid(image)
        starts.append(starts[-1] + rows * columns)
    features = torch.empty(starts[-1], SHAPE.hidden, dtype=torch.bfloat16)
    for (rows, columns), numbers in by_size.items():
        step = max(1, 2_000 // (rows * columns))
        for begin in range(0, len(numbers), step):
            chunk = numbers[begin : begin + step]
            pixels = torch.stack([render(images[n], rng, fonts) for n in chunk])
            with torch.autocast("cpu", torch.bfloat16, enabled=fast):
                states = vision(pixels)
            for number, seen in zip(chunk, states, strict=True):
                features[starts[number] : starts[number + 1]] = seen.bfloat16()
    return Pool(images, features, starts)


def main() -> None:
    """Build a pool and save it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vision", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--count", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--exact", action="store_true", help="compute in float32")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    vision = frozen_vision(options.vision)
    build(vision, options.count, options.seed, fast=not options.exact).save(options.to)


if __name__ == "__main__":
    main()
