"""The bundled miniature: a genuinely trained checkpoint of a few million parameters.

The files beside this module are a Hugging Face folder in exactly the format of
mistralai/Magistral-Small-2509; README.md is its model card. `images` draws what it can read.
Nothing heavy is imported here.
"""

from pathlib import Path

__all__ = ["checkpoint_directory"]


def checkpoint_directory() -> Path:
    """Return the folder with the miniature's config.json, weights, tokenizer and system prompt."""
    return Path(__file__).parent
