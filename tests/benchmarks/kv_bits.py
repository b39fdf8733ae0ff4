"""What a narrower KV cache changes: KL divergence and equal top tokens against 16 bits, and its memory.

    python tests/benchmarks/kv_bits.py                    the miniature
    python tests/benchmarks/kv_bits.py --model FOLDER     a converted folder, such as the real model's
    python tests/benchmarks/kv_bits.py --image 280      after a question about an image so many pixels wide

The text is read in two parts: the first in prefill chunks, the second token by token, as decoding does, so
that both ways of reading a packed cache count. Without an image both parts are sums in words; with one, the
first is the question as `ask` puts it and the second what the model itself writes next, greedily, in 16 bits.
KL is between 16 bits and the narrower one, in nats per token.
"""

import argparse
import random
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import mlx.core as mx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from magistral_mlx.checkpoint.installed import resolve
from magistral_mlx.generation.cache.prompt_cache import PromptCache, position_keys
from magistral_mlx.generation.decode.prefill import PromptReader, prefill
from magistral_mlx.generation.loaded_model import LoadedModel, open_model
from magistral_mlx.miniature.images import draw, random_chart
from magistral_mlx.prompt.chat import compose, encode
from magistral_mlx.prompt.turns import PreparedPrompt, UserTurn

CHUNK = 64


def main() -> None:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="miniature")
    parser.add_argument("--tokens", type=int, default=512, help="read in chunks")
    parser.add_argument("--decoded", type=int, default=64, help="read one by one after them, and compared")
    parser.add_argument("--picture", type=int, metavar="PIXELS", help="width of a chart to ask about")
    arguments = parser.parse_args()
    loaded = open_model(resolve(arguments.model))
    count = arguments.decoded
    if arguments.image is None:
        ids = text_ids(loaded, arguments.tokens + count)
        prompt, following = PreparedPrompt(tuple(ids[:-count])), ids[-count:]
    else:
        prompt, following = image_prompt(loaded, arguments.image), None
    exact = read(loaded, prompt, following, count, kv_bits=16)
    print(
        f"{loaded.checkpoint.name}, {len(prompt.token_ids)} tokens in chunks "
        f"({prompt.image_tokens} of pictures), {len(exact.ids)} one by one, {mx.default_device()}"
    )
    print(f"{'bits':>6}{'KL mean':>12}{'KL max':>12}{'top equal':>12}{'memory':>10}")
    for bits in (8, 4):
        narrow = read(loaded, prompt, exact.ids, count, kv_bits=bits)
        divergence = mx.sum(
            mx.exp(exact.log_probabilities) * (exact.log_probabilities - narrow.log_probabilities), axis=-1
        )
        equal = mx.mean(
            mx.argmax(exact.log_probabilities, axis=-1) == mx.argmax(narrow.log_probabilities, axis=-1)
        )
        mean, worst = divergence.mean().item(), divergence.max().item()
        memory = narrow.cache_bytes / exact.cache_bytes
        print(f"{bits:6}{mean:12.6f}{worst:12.6f}{equal.item():12.3f}{memory:10.3f}")


def text_ids(loaded: LoadedModel, count: int) -> list[int]:
    """Sums in words, the same for every run, in the model's own tokens."""
    chance = random.Random(0)
    ids: list[int] = []
    while len(ids) < count:
        one, two = chance.randint(1, 999), chance.randint(1, 999)
        ids += loaded.tokenizer.encode_text(f"What is {one} + {two}? It is {one + two}. ")
    return ids[:count]


def image_prompt(loaded: LoadedModel, width: int) -> PreparedPrompt:
    """A question about a bar chart, the same for every run."""
    chance = random.Random(0)
    chart = draw(random_chart(chance), chance)
    image = chart.resize((width, width * chart.height // chart.width))
    messages = compose(
        [UserTurn("Which bar is the tallest?", (image,))],
        system=None,
        system_prompt=loaded.reasoning_prompt,
        thinking=True,
    )
    return encode(loaded.tokenizer, messages)


@dataclass(frozen=True)
class Reading:
    """What was read one by one, and what was expected after each token of it."""

    ids: list[int]
    log_probabilities: mx.array
    """[len(ids), vocab]"""
    cache_bytes: int


def read(
    loaded: LoadedModel, prompt: PreparedPrompt, following: list[int] | None, count: int, *, kv_bits: int
) -> Reading:
    """Reads the prompt in chunks and `following` one by one; None: what the model writes, at most `count`."""
    cache = PromptCache(loaded.model, kv_bits=kv_bits)
    image_id = loaded.tokenizer.special.image
    reader = PromptReader(loaded.model, loaded.features, prompt, image_id=image_id)
    reading = prefill(
        loaded.model, cache, reader, position_keys(prompt, image_id=image_id), step_at=lambda held: CHUNK
    )
    logits = result_of(reading)
    ids: list[int] = []
    rows: list[mx.array] = []
    while len(ids) < (count if following is None else len(following)):
        token_id = int(mx.argmax(logits).item()) if following is None else following[len(ids)]
        if token_id == loaded.tokenizer.special.eos:
            break
        ids.append(token_id)
        logits = loaded.model(mx.array([[token_id]]), cache=cache.layers)[0, -1].astype(mx.float32)
        rows.append(logits - mx.logsumexp(logits))
        mx.eval(rows[-1])
    return Reading(ids, mx.stack(rows), cache.nbytes)


def result_of(reading: Generator[object, None, mx.array]) -> mx.array:
    """What a generator returns, its steps left unread."""
    while True:
        try:
            next(reading)
        except StopIteration as end:
            return cast("mx.array", end.value)


if __name__ == "__main__":
    main()
