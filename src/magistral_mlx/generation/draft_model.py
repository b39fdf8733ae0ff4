"""A smaller model beside the one that answers, for drafts: loaded with it, checked against it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from magistral_mlx.errors import UsageError
from magistral_mlx.generation.loaded_model import LoadedModel, open_model
from magistral_mlx.generation.prompt_cache import PromptCache
from magistral_mlx.prompt.tokenizer import Tokenizer
from magistral_mlx.sanitize import sanitize_line


@dataclass(frozen=True)
class DraftModel:
    """The smaller model and its KV cache, which keeps what the last reply followed."""

    loaded: LoadedModel
    cache: PromptCache


def with_draft(
    loaded: LoadedModel, directory: Path, *, progress: Callable[[int, int], None] | None = None
) -> LoadedModel:
    """`loaded` with the model in `directory` to draft for it.

    Raises:
        CheckpointError, MemoryLimitError: as `open_model`.
        UsageError: the two have different tokenizers, so that one can't speak for the other.
    """
    draft = open_model(directory, progress=progress)
    if (difference := _difference(loaded.tokenizer, draft.tokenizer)) is not None:
        raise UsageError(
            f"{sanitize_line(draft.checkpoint.name)} can't draft for {sanitize_line(loaded.checkpoint.name)}:"
            f" {difference}",
            "Take a smaller model of the same tokenizer, or load without draft.",
        )
    return replace(loaded, draft=DraftModel(draft, PromptCache(draft.model)))


def _difference(one: Tokenizer, other: Tokenizer) -> str | None:
    if one.vocab_size != other.vocab_size:
        return f"their tokenizers have {other.vocab_size} and {one.vocab_size} ids"
    if one.special != other.special:
        return "their control tokens have different ids"
    ids = range(one.vocab_size)
    differs = next((i for i in ids if one.token_bytes(i) != other.token_bytes(i)), None)
    return None if differs is None else f"token id {differs} means different bytes in their tokenizers"
