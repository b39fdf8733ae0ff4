"""Train the vision tower alone: each cell's feature must hold shape and colour, or letter and height.

Linear heads read the classes from the projector's output. They are not published. Usage:

    python -m magistral_miniature.training.train_vision --minutes 13 --to runs/vision.pt
"""

import argparse
import random
import time
from multiprocessing import get_context
from multiprocessing.queues import Queue
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from magistral_miniature.publishing.gallery import NOTHING, cell_classes, render, training_fonts
from magistral_miniature.training.optimizer import Muon, split_parameters
from magistral_miniature.training.shape import SHAPE
from magistral_miniature.training.vision_tower import VisionTower
from magistral_mlx.miniature.images import BarChart, Grid, random_chart, random_grid

__all__ = ["Heads", "main"]

_CLASSES = (7, 8, 26, 11)
_PATCHES = 3_000


class Heads(nn.Module):
    """Linear heads for shape, colour, letter and value of a cell's feature."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.ModuleList(nn.Linear(SHAPE.hidden, count) for count in _CLASSES)

    def losses(self, features: Tensor, classes: Tensor) -> tuple[list[Tensor], list[float]]:
        """Return loss and accuracy of each kind of class in [..., 4] that occurs."""
        losses, accuracies = [], []
        for kind, head in enumerate(self.head):
            chosen = classes[..., kind] != NOTHING
            if not bool(chosen.any()):
                continue
            logits = head(features[chosen].float())
            wanted = classes[..., kind][chosen]
            losses.append(functional.cross_entropy(logits, wanted))
            accuracies.append((logits.argmax(-1) == wanted).float().mean().item())
        return losses, accuracies


def draw_batches(out: "Queue[tuple[np.ndarray, np.ndarray]]", seed: int) -> None:
    """Put batches of images of one size and their classes into a queue without end."""
    torch.set_num_threads(1)
    rng, fonts = random.Random(seed), training_fonts()
    while True:
        images = _images(rng)
        pixels = torch.stack([render(image, rng, fonts) for image in images])
        classes = np.array([cell_classes(image) for image in images], np.int64)
        out.put((pixels.numpy(), classes))


def _images(rng: random.Random) -> list[Grid | BarChart]:
    if rng.random() < 0.4:
        rows, columns = rng.randint(1, 6), rng.randint(1, 6)
        count = _PATCHES // (rows * columns * 4)
        return [random_grid(rng, rows=rows, columns=columns) for _ in range(count)]
    bars = rng.randint(3, 6)
    return [random_chart(rng, bars=bars) for _ in range(_PATCHES // (bars * 24))]


def learn(vision: VisionTower, heads: Heads, pixels: Tensor, classes: Tensor) -> list[float]:
    """Add the gradients of one batch and return the accuracy of each kind of class in it."""
    with torch.autocast("cpu", torch.bfloat16):
        features = vision(pixels)
    losses, accuracies = heads.losses(features, classes)
    torch.stack(losses).sum().backward()
    return accuracies


def main() -> None:
    """Train for the given time and save the vision tower's weights."""
    options = _options()
    options.to.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    context = get_context("spawn")
    batches = context.Queue(maxsize=16)
    drawer = context.Process(target=draw_batches, args=(batches, 7), daemon=True)
    drawer.start()
    vision, heads = VisionTower(SHAPE), Heads()
    matrices, rest = split_parameters([vision, heads])
    muon, adam = Muon(matrices, lr=0.02), torch.optim.AdamW(rest, lr=3e-3, weight_decay=0.0)
    for layer in vision.vision_tower.transformer.layers:
        layer.compile(dynamic=True)
    start, step = time.time(), 0
    while (done := (time.time() - start) / (60 * options.minutes)) < 1:
        rate = min(1.0, (step + 1) / 100) * min(1.0, (1 - done) / 0.6)
        muon.param_groups[0]["lr"], adam.param_groups[0]["lr"] = 0.02 * rate, 3e-3 * rate
        seen = [learn(vision, heads, *map(torch.from_numpy, batches.get())) for _ in range(2)]
        for optimizer in (muon, adam):
            optimizer.step()
            optimizer.zero_grad()
        step += 1
        if step % 25 == 0:
            print(f"{step} {time.time() - start:.0f}s {seen}", flush=True)
    torch.save(vision.state_dict(), options.to)
    drawer.terminate()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=13)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
