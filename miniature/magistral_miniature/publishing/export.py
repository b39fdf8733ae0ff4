"""Write the trained vision tower and decoder as a Hugging Face folder, in Magistral's format.

    python -m magistral_miniature.publishing.export --vision runs/vision.pt --decoder runs/decoder.pt \\
        --tokenizer runs/tekken.json --to FOLDER [--check]

`--check` loads the folder with Transformers and compares logits for a random conversation.
"""

import argparse
import json
import random
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from magistral_miniature.publishing.gallery import pixels
from magistral_miniature.publishing.published import published_decoder
from magistral_miniature.tasks.conversations import SYSTEM_PROMPT
from magistral_miniature.training.decoder import Decoder
from magistral_miniature.training.pool import frozen_vision
from magistral_miniature.training.shape import SHAPE, config_json
from magistral_miniature.training.tokens import CONTROL
from magistral_miniature.training.vision_tower import VisionTower
from magistral_mlx.miniature.images import draw, random_grid

__all__ = ["export", "load_decoder", "main"]


def load_decoder(path: Path) -> Decoder:
    """Return the averaged decoder of a checkpoint in bfloat16, or the decoder of an exported folder."""
    if path.is_dir():
        return published_decoder(path).requires_grad_(False).eval()
    decoder = Decoder(SHAPE)
    decoder.load_state_dict(torch.load(path)["average"])
    for parameter in decoder.parameters():
        parameter.data = parameter.data.bfloat16().float()
        parameter.requires_grad = False
    return decoder.eval()


def tensors(vision: VisionTower, decoder: Decoder) -> dict[str, Tensor]:
    """Return all weights by their names in Magistral's files."""
    named = dict(vision.state_dict())
    named |= {f"language_model.{name}": tensor for name, tensor in decoder.state_dict().items()}
    return {name: tensor.detach().bfloat16().contiguous() for name, tensor in named.items()}


def export(vision: VisionTower, decoder: Decoder, tokenizer: Path, to: Path) -> None:
    """Write config, weights, tokenizer and system prompt into a folder."""
    to.mkdir(parents=True, exist_ok=True)
    weights = to / "model.safetensors"
    save_file(tensors(vision, decoder), weights, metadata={"format": "pt"})
    weights.chmod(0o644)
    (to / "config.json").write_text(json.dumps(config_json(), indent=1) + "\n", "utf-8")
    generation = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 11, "max_length": 4096}
    (to / "generation_config.json").write_text(json.dumps(generation) + "\n", "utf-8")
    before, inside, after = SYSTEM_PROMPT
    (to / "SYSTEM_PROMPT.txt").write_text(f"{before}[THINK]{inside}[/THINK]{after}", "utf-8")
    shutil.copyfile(tokenizer, to / "tekken.json")


@torch.no_grad()
def check(vision: VisionTower, decoder: Decoder, folder: Path) -> float:
    """Return the largest difference of logits between this code and Transformers, in float32."""
    from transformers import Mistral3ForConditionalGeneration

    theirs = Mistral3ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    rng = random.Random(5)
    image = pixels(draw(random_grid(rng, rows=3, columns=5), rng))[None]
    row = [CONTROL["[IMG]"]] * 5
    ids = [1, 3, *row, 12, *row, 12, *row, 13, *(rng.randrange(64, SHAPE.vocabulary) for _ in range(60))]
    tokens = torch.tensor([ids])
    states, _, _ = decoder(tokens, vision(image)[0])
    mine = decoder.lm_head(states)
    sizes = torch.tensor([[84, 140]])
    other = theirs(input_ids=tokens, pixel_values=image, image_sizes=sizes).logits
    return float((mine - other).abs().max() / other.abs().max())


def main() -> None:
    """Export, and check if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vision", type=Path, required=True)
    parser.add_argument("--decoder", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    vision, decoder = frozen_vision(options.vision), load_decoder(options.decoder)
    export(vision, decoder, options.tokenizer, options.to)
    if options.check:
        print(f"largest relative difference to Transformers: {check(vision, decoder, options.to):.2e}")


if __name__ == "__main__":
    main()
