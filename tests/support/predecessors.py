"""Text-only checkpoints in the form of Magistral Small 1.0 and 1.1 (MistralForCausalLM)."""

from pathlib import Path
from typing import Any

from support.hf_checkpoint import change_json, change_weights
from support.random_checkpoint import tiny_config, write_source

PROMPT_1_0 = "First think.\n\nLike this:\n<think>\nYour draft.\n</think>\n\nHere, a summary.\n\nProblem:\n\n"
"""A SYSTEM_PROMPT.txt in the form of Magistral Small 1.0: its marks are ordinary text."""


def write_predecessor(folder: Path, *, release: str, seed: int = 0) -> Path:
    """A random Hugging Face folder like Magistral-Small-2506 (`release` "1.0") or -2507 ("1.1")."""
    return as_predecessor(write_source(folder, config=tiny_config(vision=False), seed=seed), release=release)


def as_predecessor(folder: Path, *, release: str) -> Path:
    """Turns a text-only folder of today's form into one of that release, with the same weights."""
    change_weights(folder, _rename)
    change_json(folder / "config.json", _flatten)
    if release == "1.0":
        change_json(folder / "tekken.json", _without_marks)
        (folder / "SYSTEM_PROMPT.txt").write_text(PROMPT_1_0)
    return folder


def _rename(tensors: dict[str, Any]) -> None:
    for name in list(tensors):
        tensors[name.removeprefix("language_model.")] = tensors.pop(name)


def _flatten(config: dict[str, Any]) -> None:
    text = config.pop("text_config")
    config.clear()
    config.update(text, architectures=["MistralForCausalLM"], torch_dtype="bfloat16")


def _without_marks(tekken: dict[str, Any]) -> None:
    """Magistral Small 1.0 has no control tokens for thoughts, nor for the arguments of a tool call."""
    tekken["config"]["version"] = "v7"
    tekken.pop("image", None)
    for token in tekken["special_tokens"][20:]:
        token["token_str"] = f"<SPECIAL_{token['rank']}>"
