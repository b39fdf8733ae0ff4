"""Ask the cases through the public API: converted, loaded and asked as a user would.

    python -m magistral_miniature.publishing.evaluate_runtime --cases 200 [--model FOLDER] [--wordings tester]

The images are new, with labels in Pillow's own font.
"""

import argparse
import random
from typing import get_args

import magistral_mlx
from magistral_miniature.tasks.cases import MAIN_TASKS, TASKS, case, is_right
from magistral_miniature.wordings.phrasing import Split
from magistral_mlx.miniature.images import BarChart, Grid, draw, random_chart, random_grid

__all__ = ["main"]


def held_out_images(count: int) -> list[Grid | BarChart]:
    """Return images that no training run has drawn; half of the grids hold only a few kinds."""
    rng = random.Random(900_002)

    def image() -> Grid | BarChart:
        if rng.random() < 0.5:
            return random_chart(rng)
        return random_grid(rng, kinds=rng.randint(1, 5) if rng.random() < 0.5 else None)

    return [image() for _ in range(count)]


def main() -> None:
    """Ask every case and print the share of right answers per task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="miniature")
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--first", type=int, default=50_000, help="number of the first case")
    parser.add_argument("--tasks", nargs="*", default=MAIN_TASKS, choices=TASKS)
    parser.add_argument("--wordings", choices=get_args(Split), default="held-out")
    options = parser.parse_args()
    images, model = held_out_images(2_000), magistral_mlx.load(options.model)
    print("| task | right |\n|---|---|")
    for task in options.tasks:
        right = 0
        for number in range(options.first, options.first + options.cases):
            held = case(task, number, images, options.wordings)
            shown = [] if held.image is None else [draw(images[held.image], random.Random(held.image))]
            reply = model.ask(held.turn.question, images=shown, temperature=0.0)
            right += is_right(reply.answer, held)
        print(f"| {task} | {right / options.cases:.1%} |", flush=True)


if __name__ == "__main__":
    main()
