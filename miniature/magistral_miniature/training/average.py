"""Average the averaged weights of several checkpoints into one for `evaluate` and `export`.

python -m magistral_miniature.training.average runs/decoder.pt runs/longer.pt --to runs/mean.pt
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["main", "mean"]


def mean(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of each parameter; all states have the same names and shapes."""
    return {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}


def main() -> None:
    """Read checkpoints and write their mean."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    states = [torch.load(path)["average"] for path in options.checkpoints]
    torch.save({"average": mean(states)}, options.to)


if __name__ == "__main__":
    main()
