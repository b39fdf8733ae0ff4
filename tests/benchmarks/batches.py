"""Batches: tokens per second of `ask_many` against one question after the other, in one run.

    python tests/benchmarks/batches.py                   a generated checkpoint
    python tests/benchmarks/batches.py --model FOLDER    a converted folder

Both ask the same questions with the same seeds; what is compared is the time of all replies together.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import magistral_mlx as mm
from support.random_checkpoint import tiny_config, write_converted

_QUESTIONS = [f"Question number {number}: what follows from it?" for number in range(8)]
_TOKENS = 48


def generated(directory: Path) -> Path:
    config = tiny_config(vision=False)
    config["text_config"] |= {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 8}
    return write_converted(directory, config=config, bits=4)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.model or generated(Path(folder))
        with mm.load(path) as model:
            model.ask("Hello", max_tokens=4)
            for size in (1, 2, 4, 8):
                began = time.perf_counter()
                replies = model.ask_many(_QUESTIONS, batch_size=size, max_tokens=_TOKENS, seed=1)
                tokens = sum(r.stats.reasoning_tokens + r.stats.answer_tokens for r in replies)
                print(f"batches of {size}: {tokens / (time.perf_counter() - began):7.1f} tokens/s")
            began = time.perf_counter()
            singles = [model.ask(text, max_tokens=_TOKENS, seed=1, speculation=False) for text in _QUESTIONS]
            tokens = sum(r.stats.reasoning_tokens + r.stats.answer_tokens for r in singles)
            print(f"one by one:   {tokens / (time.perf_counter() - began):7.1f} tokens/s")


if __name__ == "__main__":
    main()
