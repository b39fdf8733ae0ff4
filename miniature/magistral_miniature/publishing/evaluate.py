"""The measured table: cases of every task, greedy, in bfloat16 and after 4-bit quantization.

Training never draws these numbers and images. `--wordings` selects the wordings.

    python -m magistral_miniature.publishing.evaluate --held-out runs/held-out.pt --decoder runs/decoder.pt \\
        --tokenizer runs/tekken.json --cases 200
"""

import argparse
from pathlib import Path
from typing import get_args

import torch

from magistral_miniature.publishing.export import load_decoder
from magistral_miniature.tasks.cases import BLIND_TASKS, TASKS
from magistral_miniature.training.pool import Pool
from magistral_miniature.training.probe import probe
from magistral_miniature.training.quantization import through_quantization
from magistral_miniature.training.tokens import Encoder
from magistral_miniature.wordings.phrasing import BLIND, Split

__all__ = ["main", "table"]


def table(exact: dict[str, float], quantized: dict[str, float]) -> str:
    """Return scores as a Markdown table, in percent."""
    lines = ["| task | bf16 | 4-bit |", "|---|---|---|"]
    lines += [f"| {task} | {exact[task]:.1%} | {quantized[task]:.1%} |" for task in exact]
    return "\n".join(lines).replace("%", " %")


def main() -> None:
    """Print the table, then the wrong answers of the 4-bit weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("--decoder", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--first", type=int, default=1_000, help="number of the first case")
    parser.add_argument("--tasks", nargs="*")
    parser.add_argument(
        "--wordings",
        choices=get_args(Split),
        default="held-out",
        help="source of the wordings; the measured table uses plain and the blind writers",
    )
    parser.add_argument("--quantized-only", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    decoder, pool = load_decoder(options.decoder), Pool.load(options.held_out)
    encoder, tasks = (
        Encoder(options.tokenizer),
        tuple(options.tasks or (BLIND_TASKS if options.wordings in BLIND else TASKS)),
    )
    numbers = range(options.first, options.first + options.cases)
    with through_quantization(decoder):
        quantized, wrong = probe(decoder, pool, encoder, tasks, numbers, options.wordings)
    exact = quantized
    if not options.quantized_only:
        exact, _ = probe(decoder, pool, encoder, tasks, numbers, options.wordings)
    print(table(exact, quantized))
    for held, said in wrong:
        print(f"\n[{held.turn.task}] {held.turn.question!r}\n wanted {held.turn.answer!r}\n said {said!r}")


if __name__ == "__main__":
    main()
