"""Read the vision tower and the decoder of an exported folder."""

from pathlib import Path

from safetensors.torch import load_file

from magistral_miniature.training.decoder import Decoder
from magistral_miniature.training.shape import SHAPE
from magistral_miniature.training.vision_tower import VisionTower

__all__ = ["published_decoder", "published_vision"]

_TEXT = "language_model."


def published_vision(folder: Path) -> VisionTower:
    """Return the vision tower of an exported folder, frozen."""
    vision = VisionTower(SHAPE)
    weights = load_file(folder / "model.safetensors")
    vision.load_state_dict({name: w.float() for name, w in weights.items() if not name.startswith(_TEXT)})
    return vision.requires_grad_(False).eval()


def published_decoder(folder: Path) -> Decoder:
    """Return the decoder of an exported folder, ready for training."""
    decoder = Decoder(SHAPE)
    weights = load_file(folder / "model.safetensors")
    decoder.load_state_dict(
        {name.removeprefix(_TEXT): w.float() for name, w in weights.items() if name.startswith(_TEXT)}
    )
    return decoder
