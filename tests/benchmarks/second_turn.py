"""Time to the first token of a second question about the same image, against mlx-vlm on the same weights.

    python tests/benchmarks/second_turn.py                 # 1540 x 1540 pixels, the largest image
    python tests/benchmarks/second_turn.py --side 616      # where a CPU is too slow for that

Ours is the whole way of `Conversation.ask`: composing, encoding, preparing the image, prefill, one token.
The peer's is what mlx-vlm does on each turn of a chat with an image unless its prefix cache is switched on:
encode the image, read the whole prompt, one token; its preparation of text and image is left out in its
favour. The model is random, with Magistral's patches and merging; tower and decoder are narrower, so that a
CPU gets to the end: a real model has more vision and more decoder on the peer's side. On a busy machine trust
the CPU seconds; on a GPU the wall clock.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import make_prompt_cache
from mlx_vlm.models import mistral3
from PIL import Image

import magistral_mlx as mm
from magistral_mlx.model.loading import default_dtype

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.random_checkpoint import tiny_config, write_converted

BAR = 20.0
"""Times that ours is to be faster."""
PREFILL_STEP = 2048
"""Tokens per chunk, mlx-vlm's default."""
QUESTIONS = ("What is in this picture?", "And what is in its upper left corner?")


@dataclass(frozen=True)
class Cost:
    """Seconds."""

    wall: float
    cpu: float


def timed(work: Callable[[], object]) -> Cost:
    """What `work` takes, all threads together."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def config(layers: int) -> dict[str, Any]:
    """Magistral's geometry, a narrow tower and decoder."""
    made = tiny_config()
    made["text_config"] |= {"num_hidden_layers": layers, "max_position_embeddings": 16_384}
    made["vision_config"] |= {"hidden_size": 256, "intermediate_size": 1024, "head_dim": 64}
    made["vision_config"] |= {"num_hidden_layers": layers}
    return made


def ours(folder: Path, side: int) -> tuple[Cost, list[int], mx.array]:
    """Seconds to the first token of the second turn, its prompt, and the pixels."""
    image = Image.effect_noise((side, side), 80).convert("RGB")
    with mm.load(folder) as model:
        chat = model.conversation()
        chat.ask(QUESTIONS[0], images=[image], temperature=0, max_tokens=4)
        stream = chat.stream(QUESTIONS[1], temperature=0, max_tokens=1)
        cost = timed(stream.reply)
        reply = stream.reply()
        new = reply.stats.prompt_tokens - reply.stats.cached_tokens
        print(f"{reply.stats.prompt_tokens} tokens, {reply.stats.image_tokens} of the picture, {new} read")
        loaded = model._loaded
        assert loaded is not None
        cache = loaded.caches.held(chat._history.owner)
        assert cache is not None
        image = loaded.tokenizer.special.image or 0
        ids = [key if isinstance(key, int) else image for key in cache.keys[: reply.stats.prompt_tokens]]
        prepared = loaded.tokenizer.encode_messages(
            [{"role": "user", "content": [{"type": "image", "image": image}]}], tools=()
        )
        return cost, ids, mx.array(prepared.images[0].pixels)


def peer(folder: Path, raw: dict[str, Any], ids: list[int], pixels: mx.array) -> Cost:
    """What mlx-vlm's model takes for the same prompt."""
    model = mistral3.Model(
        mistral3.ModelConfig(
            text_config=mistral3.TextConfig.from_dict(raw["text_config"]),
            vision_config=mistral3.VisionConfig.from_dict(raw["vision_config"]),
            model_type="mistral3",
            image_token_index=10,
        )
    )
    weights: dict[str, mx.array] = {}
    for path in sorted(folder.glob("model-*.safetensors")):
        weights |= mx.load(str(path))
    dtype = default_dtype()
    model.load_weights([(name, array.astype(dtype)) for name, array in weights.items()], strict=False)
    mx.eval(model.parameters())
    prompt = mx.array(ids)[None]

    def first_token() -> None:
        embeddings = model.get_input_embeddings(
            prompt, pixels[None].astype(dtype), image_sizes=[pixels.shape[1:]]
        ).inputs_embeds
        cache = make_prompt_cache(model.language_model)
        for start in range(0, len(ids), PREFILL_STEP):
            here = slice(start, start + PREFILL_STEP)
            output = model.language_model(prompt[:, here], cache=cache, inputs_embeds=embeddings[:, here])
            logits = getattr(output, "logits", output)
            mx.eval(logits)
            mx.argmax(logits[:, -1, :], axis=-1).item()

    return timed(first_token)


def main() -> int:
    """Measures both in one run and prints the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=1540, help="pixels, a multiple of 28")
    parser.add_argument("--layers", type=int, default=2, help="of the tower and of the decoder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        raw = config(arguments.layers)
        folder = write_converted(Path(place) / "model", config=raw)
        own, ids, pixels = ours(folder, arguments.side)
        theirs = peer(folder, raw, ids, pixels)
    for name, cost in (("magistral-mlx", own), ("mlx-vlm", theirs)):
        print(f"{name:14} {cost.wall:8.3f} s wall {cost.cpu:8.3f} s CPU")
    ratio = theirs.cpu / own.cpu
    print(f"mlx-vlm / ours: wall {theirs.wall / own.wall:.0f}, CPU {ratio:.0f} (bar: {BAR:.0f})")
    return 0 if ratio >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
