"""What recipes lose on a trained language model, on text of kinds that no calibration has.

    python tests/benchmarks/quantization.py --source FOLDER [--recipes 4bit,calibrated-4bit] [--work FOLDER]
        [--others FOLDER ...]

FOLDER holds a trained model in the layout of Hugging Face. Random weights say nothing here, and neither do
weights that were quantized before in groups of 32: packed again they come back exactly. `--others` are
conversions that are there already, whoever made them. Prints for each the bits per weight of the text model,
and for each kind of text the mean KL divergence from the source, and its ratio to the first. Asserts nothing.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from magistral_mlx.checkpoint.safetensors_header import ITEM_BYTES
from magistral_mlx_convert import convert
from magistral_mlx_convert.report.calibration import calibration_texts
from magistral_mlx_convert.report.compare import compare
from magistral_mlx_convert.report.metrics import Comparison
from magistral_mlx_convert.sources.huggingface import HuggingFaceFolder
from magistral_mlx_convert.sources.opening import open_local

LICENSE = Path(__file__).resolve().parents[2] / "LICENSE"
PIECE = 600
"""Characters of a text: about as many tokens as a report reads of it."""

C_CODE = """
typedef struct ring { size_t head, tail, mask; unsigned char *bytes; } ring_t;

static inline size_t ring_used(const ring_t *r) { return (r->head - r->tail) & r->mask; }

int ring_put(ring_t *r, const void *from, size_t count) {
    if (r->mask - ring_used(r) < count) return -ENOSPC;
    for (size_t i = 0; i < count; i++)
        r->bytes[(r->head + i) & r->mask] = ((const unsigned char *)from)[i];
    r->head = (r->head + count) & r->mask;
    return 0;
}

/* Returns the number of bytes that were copied, which may be fewer than asked for. */
size_t ring_take(ring_t *r, void *to, size_t count) {
    size_t used = ring_used(r);
    if (count > used) count = used;
    for (size_t i = 0; i < count; i++)
        ((unsigned char *)to)[i] = r->bytes[(r->tail + i) & r->mask];
    r->tail = (r->tail + count) & r->mask;
    return count;
}
"""


def held_out() -> dict[str, str]:
    """Name of a piece -> text; the name begins with its kind."""
    rng = random.Random(7)
    sums = " ".join(
        f"{a} plus {b} is {a + b}. {a} times {b} is {a * b}."
        for a, b in ((rng.randint(2, 99), rng.randint(2, 99)) for _ in range(60))
    )
    kinds = {"legal": LICENSE.read_text("utf-8"), "C": C_CODE, "sums": sums}
    pieces = {
        f"{kind} {start // PIECE}": text[start : start + PIECE]
        for kind, text in kinds.items()
        for start in range(0, min(len(text), 4 * PIECE), PIECE)
    }
    return pieces | {f"languages {name}": text for name, text in calibration_texts().items()}


def by_kind(comparison: Comparison) -> Mapping[str, float]:
    """Mean KL divergence of each kind and of everything."""
    sums: dict[str, tuple[float, int]] = {}
    for name, figures in comparison.groups.items():
        kind = name.partition(" ")[0]
        total, tokens = sums.get(kind, (0.0, 0))
        sums[kind] = total + figures.mean_kl * figures.tokens, tokens + figures.tokens
    return {kind: total / tokens for kind, (total, tokens) in sums.items()} | {
        "all": comparison.whole.mean_kl
    }


def bits_of(folder: Path) -> float:
    """Bits that a weight of the text model takes."""
    opened = HuggingFaceFolder(folder)
    try:
        text = {n: t for n, t in opened.tensors.items() if n.startswith("language_model.")}
        stored = sum(_count(t.shape) * ITEM_BYTES[t.dtype] for t in text.values())
        scales = sum(_count(t.shape) for n, t in text.items() if n.endswith(".scales"))
        config = opened.config.get("quantization")
        size = int(config["group_size"]) if isinstance(config, Mapping) else 1
        plain = sum(
            _count(t.shape) for n, t in text.items() if not n.endswith(".biases") and t.dtype != "U32"
        )
        return 8 * stored / (scales * size + plain - scales)
    finally:
        opened.close()


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description="loss of recipes on a trained model")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--recipes", default="4bit,calibrated-4bit,calibrated-4bit-g32")
    parser.add_argument(
        "--others", type=Path, nargs="*", default=[], help="conversions that are there already"
    )
    parser.add_argument(
        "--work", type=Path, default=None, help="where to write; a temporary folder without it"
    )
    arguments = parser.parse_args()
    first: Mapping[str, float] = {}
    with tempfile.TemporaryDirectory(dir=arguments.work) as work:
        for each in [*filter(None, arguments.recipes.split(",")), *arguments.others]:
            started = time.process_time()
            folder = (
                each if isinstance(each, Path) else convert(arguments.source, Path(work) / each, recipe=each)
            )
            seconds = time.process_time() - started
            source = open_local(arguments.source)
            try:
                found = by_kind(compare(source, folder, texts=held_out()))
            finally:
                source.close()
            first = first or found
            told = "  ".join(
                f"{kind} {value:.4f} ({value / first[kind]:.2f})" for kind, value in found.items()
            )
            print(f"{folder.name:22} {bits_of(folder):5.2f} bits  {told}  {seconds:.0f} CPU s", flush=True)


if __name__ == "__main__":
    main()
