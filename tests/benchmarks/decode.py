"""Decode speed of this program, mlx-lm and mlx-vlm on the same converted weights, in one run.

    python tests/benchmarks/decode.py                    a generated checkpoint, 4 bits
    python tests/benchmarks/decode.py --model FOLDER     a converted folder, such as the real model's

Repeats are interleaved, so that a machine that slows down slows all three. Ours is the whole way of a
question (`Magistral.ask` and `.stream`: events, limits, loop detection, text); theirs are the bare
`generate_step` loops without text. Prints medians and ratios to mlx-lm, and the
processor time of a whole run, which other programs on the machine disturb least; nothing is asserted.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm.utils
import mlx_vlm.utils
from mlx_lm.generate import generate_step as mlx_lm_steps
from mlx_vlm.generate.ar import generate_step as mlx_vlm_steps

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import magistral_mlx as mm
from magistral_mlx_convert import convert
from support.random_checkpoint import random_weights, tiny_config, write_source
from support.tekken import SPECIAL_COUNT

PROMPT = "Tell me about the sea, the wind and the harbour. "


def main() -> None:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=Path, help="a converted folder; a generated one without it")
    parser.add_argument("--hidden", type=int, default=512, help="width of the generated checkpoint")
    parser.add_argument("--layers", type=int, default=8, help="layers of the generated checkpoint")
    parser.add_argument("--prompt-repeats", type=int, default=8, help="length of the prompt")
    parser.add_argument("--tokens", type=int, default=150, help="generated tokens per repeat")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.model or generated(Path(scratch), arguments.hidden, arguments.layers)
        measure(folder, PROMPT * arguments.prompt_repeats, arguments.tokens, arguments.repeats)


def generated(scratch: Path, hidden: int, layers: int) -> Path:
    """A random checkpoint in Magistral's proportions that never writes a control token by itself."""
    config = tiny_config()
    config["text_config"] |= {
        "hidden_size": hidden,
        "intermediate_size": hidden * 32 // 5 // 64 * 64,
        "num_hidden_layers": layers,
        "num_attention_heads": max(hidden // 64, 2),
        "num_key_value_heads": max(hidden // 256, 1),
        "head_dim": 64,
    }
    weights = random_weights(config)
    weights["language_model.lm_head.weight"][:SPECIAL_COUNT] = 0
    return convert(
        write_source(scratch / "hf", config=config, weights=weights), scratch / "mlx", dtype=dtype()
    )


def dtype() -> str:
    """What this program computes in on this machine, so that all three do the same work."""
    return "bfloat16" if mx.default_device() == mx.Device(mx.gpu) else "float32"


def measure(folder: Path, text: str, tokens: int, repeats: int) -> None:
    """Runs all contestants in turn and prints the table."""
    model = mm.load(folder)
    loaded = model._loaded
    assert loaded is not None
    # The question as ids, for those that take no text: the same length, hence the same work per token.
    ids = model.tokenize([{"role": "user", "content": text}])
    text_model, _ = mlx_lm.utils.load_model(folder)
    vision_model: Any = mlx_vlm.utils.load_model(folder)
    options: dict[str, Any] = {"thinking": True, "temperature": 0, "max_tokens": tokens}

    def by_stream() -> float:
        for event in model.stream(text, **options):
            if isinstance(event, mm.Finished):
                return rate_of(event.reply)
        raise AssertionError

    contestants: dict[str, Callable[[], float]] = {
        "mlx-lm": lambda: rate(mlx_lm_steps(mx.array(ids), text_model, max_tokens=tokens)),
        "mlx-vlm": lambda: rate(
            mlx_vlm_steps(mx.array([ids]), vision_model, None, None, max_tokens=tokens, temperature=0.0)
        ),
        "ours, ask": lambda: rate_of(model.ask(text, **options)),
        "ours, stream": by_stream,
    }
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        run()  # warm up
    for turn in range(repeats):
        names = list(contestants)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            began = time.process_time()
            rates[name].append(contestants[name]())
            seconds[name].append(time.process_time() - began)
    show(folder, rates, seconds, prompt_tokens=len(ids), tokens=tokens)


def rate(steps: Iterator[tuple[Any, Any]]) -> float:
    """Tokens per second after the first token."""
    next(steps)
    began = time.perf_counter()
    count = sum(1 for _ in steps)
    return count / (time.perf_counter() - began)


def rate_of(reply: mm.Reply) -> float:
    """The same of one of our replies, which must not have ended early."""
    assert reply.ending in (mm.Ending.CUT_IN_ANSWER, mm.Ending.CUT_IN_REASONING), reply.ending
    return reply.stats.decode_tokens_per_second


def show(
    folder: Path,
    rates: dict[str, list[float]],
    seconds: dict[str, list[float]],
    *,
    prompt_tokens: int,
    tokens: int,
) -> None:
    """Medians, spread, and the ratio to mlx-lm: of medians, and the median of each turn's ratio."""
    print(f"{folder.name} on {mx.default_device()}, prompt {prompt_tokens} tokens, {tokens} generated")
    print(f"{'':14}{'median tok/s':>14}{'min':>9}{'max':>9}{'ratio':>8}{'per turn':>10}{'cpu s':>8}")
    base = rates["mlx-lm"]
    for name, each in rates.items():
        ratio = statistics.median(each) / statistics.median(base)
        turns = statistics.median(a / b for a, b in zip(each, base, strict=True))
        print(
            f"{name:14}{statistics.median(each):14.1f}{min(each):9.1f}{max(each):9.1f}"
            f"{ratio:8.3f}{turns:10.3f}{statistics.median(seconds[name]):8.3f}"
        )


if __name__ == "__main__":
    main()
