"""Loaded models for tests: scripted ones and random ones, converted by the real converter."""

from pathlib import Path
from typing import Any

import magistral_mlx as mm
from magistral_mlx_convert import convert
from support.random_checkpoint import tiny_config, write_converted
from support.scripted import Script, write_scripted_checkpoint


def scripted_folder(directory: Path, script: Script, **options: Any) -> Path:
    """A converted 4-bit folder that answers every prompt by `script`; options are those of scripted.py."""
    write_scripted_checkpoint(directory / "source", script, **options)
    return convert(directory / "source", directory / "scripted")


def scripted(directory: Path, script: Script, **options: Any) -> mm.Magistral:
    """The same, loaded."""
    return mm.load(scripted_folder(directory, script, **options))


def random_model(directory: Path, *, seed: int = 0, context: int = 4096) -> mm.Magistral:
    """A loaded model whose every token depends on all before it, images included."""
    config = tiny_config()
    config["text_config"]["max_position_embeddings"] = context
    return mm.load(write_converted(directory, config=config, seed=seed))


def forget_caches(model: mm.Magistral) -> None:
    """The next question reads all of its prompt, whoever asks it."""
    loaded = model._loaded
    assert loaded is not None
    loaded.caches.clear()
