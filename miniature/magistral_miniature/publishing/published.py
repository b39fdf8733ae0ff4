"""The published checkpoint as a start: its eye and decoder, read back from the exported folder."""

from pathlib import Path

from safetensors.torch import load_file

from magistral_miniature.training.decoder import Decoder
from magistral_miniature.training.eye import Eye
from magistral_miniature.training.shape import SHAPE

__all__ = ["published_decoder", "published_eye"]

_TEXT = "language_model."


def published_eye(folder: Path) -> Eye:
    """Return the eye of an exported folder, frozen."""
    eye = Eye(SHAPE)
    weights = load_file(folder / "model.safetensors")
    eye.load_state_dict({name: w.float() for name, w in weights.items() if not name.startswith(_TEXT)})
    return eye.requires_grad_(False).eval()


def published_decoder(folder: Path) -> Decoder:
    """Return the decoder of an exported folder, ready to be trained on."""
    decoder = Decoder(SHAPE)
    weights = load_file(folder / "model.safetensors")
    decoder.load_state_dict(
        {name.removeprefix(_TEXT): w.float() for name, w in weights.items() if name.startswith(_TEXT)}
    )
    return decoder
