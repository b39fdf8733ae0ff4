"""Speculation: tokens per pass on texts that repeat, and the price on texts that don't.

    python tests/benchmarks/speculation.py

A random model of Magistral's shape in small decodes with and without drafts, in turn, in one run. What a
random model writes never repeats, so its reply is dictated: each token is forced to be the next one of a
text, which is what a model does that knows it. On a CPU a pass over n tokens costs nearly n passes over one,
so the pace is told to draft always for the count; the times of texts that don't repeat are measured with the
pace as it comes.
"""

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import mlx.core as mx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from magistral_mlx.checkpoint.config import parse_config
from magistral_mlx.generation.cache.prompt_cache import PromptCache
from magistral_mlx.generation.decode.drafts import NgramDrafter
from magistral_mlx.generation.decode.loop import Row
from magistral_mlx.generation.decode.next_token import NextToken, Sampled
from magistral_mlx.generation.decode.sampling import PositionSampler
from magistral_mlx.generation.decode.speculation import Drafted, Pace
from magistral_mlx.generation.options import Options
from magistral_mlx.model.magistral import MagistralModel
from support.decoding import written_by
from support.random_checkpoint import random_weights, tiny_config
from support.tekken import VOCAB_SIZE

_CODE = """def area(width, height):
    if width < 0:
        raise ValueError("width must not be negative")
    if height < 0:
        raise ValueError("height must not be negative")
    return width * height


def volume(width, height, depth):
    if width < 0:
        raise ValueError("width must not be negative")
    if height < 0:
        raise ValueError("height must not be negative")
    if depth < 0:
        raise ValueError("depth must not be negative")
    return width * height * depth
"""
_TABLE = "".join(
    f"| {name} | 2024 | open | Zurich |\n" for name in ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn")
)
_EDIT = "Repeat with one change: " + _CODE + "\n" + _CODE.replace("Value", "Type")
_TOKENS = 150


class Dictated(PositionSampler):
    """Draw a given text, at the cost of real draws."""

    def __init__(self, text: Sequence[int]) -> None:
        super().__init__(Options(temperature=0))
        self._text = mx.array([*text, *[2] * 32])

    def at(self, logits: mx.array, position: int) -> mx.array:
        drawn = super().at(logits, position)
        return self._text[position : position + logits.shape[0]] + 0 * drawn


def model() -> MagistralModel:
    config = tiny_config(vision=False)
    config["text_config"] |= {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 4}
    made = MagistralModel(parse_config(config))
    made.load_weights(list(random_weights(config).items()))
    return made


def tokens_per_pass(made: MagistralModel, text: str) -> float:
    ids = list(text.encode())
    tokens = [100 + byte for byte in ids]
    row, _ = _run(made, tokens, lambda sampler: _drafted(sampler, Pace(always=True)))
    return len(tokens) / row.passes


def _drafted(sampler: PositionSampler, pace: Pace) -> NextToken:
    return Drafted(sampler, NgramDrafter([1, 3, 4], never=frozenset()), pace)


def _run(
    made: MagistralModel, tokens: Sequence[int], policy: Callable[[PositionSampler], NextToken]
) -> tuple[Row, float]:
    cache = PromptCache(made)
    logits = made(mx.array([1, 3, 4])[None], cache=cache.layers)[:, -1, :]
    mx.eval(logits)
    cache.extend([1, 3, 4])
    row = Row(cache, policy(Dictated(tokens)), logits)
    stream = written_by(made, row)
    began = time.perf_counter()
    said = [next(stream) for _ in tokens]
    seconds = time.perf_counter() - began
    stream.close()
    assert said == list(tokens)
    return row, seconds


def ratio_on_chance(made: MagistralModel) -> float:
    """Speed with drafts over speed without, on tokens that never repeat in the same order."""
    chance = mx.random.randint(100, VOCAB_SIZE, [_TOKENS], key=mx.random.key(1)).tolist()
    ratios: list[float] = []
    for _ in range(5):
        _, plain = _run(made, chance, Sampled)
        _, ahead = _run(made, chance, lambda sampler: _drafted(sampler, Pace()))
        ratios.append(plain / ahead)
    return statistics.median(ratios)


def main() -> None:
    made = model()
    for name, text in (("code", _CODE), ("table", _TABLE), ("edited code", _EDIT)):
        print(f"tokens per pass, {name:12} {tokens_per_pass(made, text):5.2f}   (bar: 1.8)")
    print(f"speed on chance, with / without drafts {ratio_on_chance(made):.3f}   (bar: 0.97)")


if __name__ == "__main__":
    main()
