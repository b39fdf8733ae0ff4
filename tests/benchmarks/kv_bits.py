"""What a narrower KV cache changes: KL divergence and equal top tokens against 16 bits, and its memory.

    python tests/benchmarks/kv_bits.py                    the miniature
    python tests/benchmarks/kv_bits.py --model FOLDER     a converted folder, such as the real model's

The text is read in two parts: the first in prefill chunks, the second token by token, as decoding does, so
that both ways of reading a packed cache count. KL is between 16 bits and the narrower one, in nats per token.
"""

import argparse
import random
import sys
from pathlib import Path

import mlx.core as mx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from magistral_mlx.generation.loaded_model import LoadedModel, open_model
from magistral_mlx.generation.prompt_cache import PromptCache
from magistral_mlx.installed import resolve

CHUNK = 64


def main() -> None:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="miniature")
    parser.add_argument("--tokens", type=int, default=512, help="read in chunks")
    parser.add_argument("--decoded", type=int, default=64, help="read one by one after them, and compared")
    arguments = parser.parse_args()
    loaded = open_model(resolve(arguments.model))
    count = arguments.tokens + arguments.decoded
    ids = text_ids(loaded, count)
    exact, exact_bytes = read(loaded, ids, arguments.tokens, kv_bits=16)
    print(f"{loaded.checkpoint.name}, {arguments.tokens} + {arguments.decoded} tokens, {mx.default_device()}")
    print(f"{'bits':>6}{'KL mean':>12}{'KL max':>12}{'top equal':>12}{'memory':>10}")
    for bits in (8, 4):
        narrow, size = read(loaded, ids, arguments.tokens, kv_bits=bits)
        divergence = mx.sum(mx.exp(exact) * (exact - narrow), axis=-1)
        equal = mx.mean(mx.argmax(exact, axis=-1) == mx.argmax(narrow, axis=-1))
        mean, worst = divergence.mean().item(), divergence.max().item()
        print(f"{bits:6}{mean:12.6f}{worst:12.6f}{equal.item():12.3f}{size / exact_bytes:10.3f}")


def text_ids(loaded: LoadedModel, count: int) -> list[int]:
    """Sums in words, the same for every run, in the model's own tokens."""
    chance = random.Random(0)
    ids: list[int] = []
    while len(ids) < count:
        one, two = chance.randint(1, 999), chance.randint(1, 999)
        ids += loaded.tokenizer.encode_text(f"What is {one} + {two}? It is {one + two}. ")
    return ids[:count]


def read(loaded: LoadedModel, ids: list[int], chunked: int, *, kv_bits: int) -> tuple[mx.array, int]:
    """Log probabilities [decoded, vocab] of the tokens that were read one by one; bytes of the cache."""
    cache = PromptCache(loaded.model, kv_bits=kv_bits)
    for start in range(0, chunked, CHUNK):
        loaded.model.hidden(mx.array(ids[start : min(start + CHUNK, chunked)])[None], cache=cache.layers)
        mx.eval([layer.state for layer in cache.layers])
    rows: list[mx.array] = []
    for token_id in ids[chunked:]:
        logits = loaded.model(mx.array([[token_id]]), cache=cache.layers)[0, -1].astype(mx.float32)
        rows.append(logits - mx.logsumexp(logits))
        mx.eval(rows[-1])
    return mx.stack(rows), cache.nbytes


if __name__ == "__main__":
    main()
