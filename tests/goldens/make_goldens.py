"""Writes the goldens: tiny random Mistral3 checkpoints and what Transformers computes with them.

    pip install torch transformers
    python tests/goldens/make_goldens.py

For each case a folder beside this file: the checkpoint as `save_pretrained` writes it, in bfloat16, and
`expected.safetensors` with prompts, pixels and float32 logits (of the same weights cast to float32). The
suite reads these files and needs neither torch nor Transformers. The files here were written with
Transformers 5.23.0 and torch 2.13.0.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import Mistral3Config, Mistral3ForConditionalGeneration

HERE = Path(__file__).parent
IMAGE, BREAK, END = 10, 12, 13
FIRST_TEXT = 36
VOCABULARY = 292
STEP = 28
"""Pixels per merged place: patch 14, merge 2."""


@dataclass(frozen=True)
class Case:
    """One checkpoint's shape; `images` are (height, width) in pixels, three in all."""

    name: str
    text: dict[str, int]
    vision: dict[str, int]
    images: tuple[tuple[int, int], ...]
    seed: int
    shard_size: str


CASES = (
    Case(
        name="narrow",
        text={"hidden_size": 64, "head_dim": 32, "num_attention_heads": 4, "num_key_value_heads": 2},
        vision={"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 96},
        images=((84, 56), (28, 28), (56, 168)),
        seed=1,
        shard_size="10GB",
    ),
    Case(
        # head_dim * heads is not hidden_size, as in Magistral; three key heads; one vision head; two shards.
        name="sharded",
        text={"hidden_size": 64, "head_dim": 16, "num_attention_heads": 6, "num_key_value_heads": 3},
        vision={"hidden_size": 32, "num_attention_heads": 1, "intermediate_size": 64},
        images=((28, 140), (112, 84), (28, 56)),
        seed=2,
        shard_size="200KB",
    ),
)


def build(case: Case) -> Mistral3ForConditionalGeneration:
    """A model with random weights, rounded to bfloat16, that gives logits of scale one and more."""
    config = Mistral3Config(
        text_config={
            "model_type": "mistral",
            "vocab_size": VOCABULARY,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-5,
            "rope_theta": 1e9,
            "sliding_window": None,
            "tie_word_embeddings": False,
            **case.text,
        },
        vision_config={
            "model_type": "pixtral",
            "num_hidden_layers": 2,
            "image_size": 1540,
            "patch_size": 14,
            "hidden_act": "silu",
            "rope_theta": 10000.0,
            **case.vision,
        },
        image_token_index=IMAGE,
        projector_hidden_act="gelu",
        tie_word_embeddings=False,
    )
    model = Mistral3ForConditionalGeneration._from_config(config, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(case.seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim == 1:
                value = 1 + 0.1 * noise
            elif "embed_tokens" in name:
                value = noise
            else:
                value = noise / math.sqrt(parameter[0].numel())
            parameter.copy_(value.to(torch.bfloat16))
    return model


def prompt(images: tuple[tuple[int, int], ...], generator: torch.Generator) -> list[int]:
    """Text, then each image's rows of places, with text after each."""

    def words(count: int) -> list[int]:
        return torch.randint(FIRST_TEXT, VOCABULARY, (count,), generator=generator).tolist()

    ids = [1, 3, *words(5)]
    for height, width in images:
        row = [IMAGE] * (width // STEP)
        for _ in range(height // STEP):
            ids += [*row, BREAK]
        ids[-1] = END
        ids += words(3)
    return [*ids, *words(12), 4]


@torch.no_grad()
def expected(model: Mistral3ForConditionalGeneration, case: Case) -> dict[str, torch.Tensor]:
    """Prompts with 0, 1 and 3 images: ids, pixels and the logits of every position."""
    generator = torch.Generator().manual_seed(case.seed)
    tensors: dict[str, torch.Tensor] = {}
    for count in (0, 1, 3):
        images = case.images[:count]
        ids = prompt(images, generator)
        pixels = [torch.randn((3, height, width), generator=generator) for height, width in images]
        inputs: dict[str, torch.Tensor] = {"input_ids": torch.tensor([ids])}
        if images:
            height, width = (max(sides) for sides in zip(*images, strict=True))
            packed = torch.zeros((count, 3, height, width))
            for index, image in enumerate(pixels):
                packed[index, :, : image.shape[1], : image.shape[2]] = image
            inputs |= {"pixel_values": packed, "image_sizes": torch.tensor(images)}
        tensors[f"{count}.token_ids"] = torch.tensor(ids, dtype=torch.int32)
        tensors[f"{count}.logits"] = model(**inputs).logits[0].contiguous()
        tensors |= {f"{count}.pixels.{index}": image for index, image in enumerate(pixels)}
    return tensors


def main() -> None:
    for case in CASES:
        folder = HERE / case.name
        folder.mkdir(exist_ok=True)
        model = build(case)
        save_file(expected(model.float(), case), folder / "expected.safetensors")
        model.to(torch.bfloat16).save_pretrained(folder, max_shard_size=case.shard_size)
        (folder / "generation_config.json").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
