"""An opened and loaded checkpoint: everything needed to answer, in one value."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

import mlx.core as mx

from magistral_mlx.checkpoint.folder import Checkpoint, open_checkpoint
from magistral_mlx.errors import CheckpointError, UsageError
from magistral_mlx.generation.cache.cache_file import model_identity
from magistral_mlx.generation.cache.cache_store import CacheStore
from magistral_mlx.generation.cache.feature_store import FeatureStore
from magistral_mlx.generation.cache.prompt_cache import PromptCache
from magistral_mlx.generation.decode.prefill_step import PrefillStep, prefill_step
from magistral_mlx.memory.admission import check_before_loading
from magistral_mlx.memory.sizes import ModelSize, float_bytes_here, idle_cache_bytes, size_of, this_machine
from magistral_mlx.model.loading import load_model
from magistral_mlx.model.magistral import MagistralModel
from magistral_mlx.prompt.images import ImageGeometry
from magistral_mlx.prompt.system_prompt import ReasoningPrompt
from magistral_mlx.prompt.tokenizer import Tokenizer
from magistral_mlx.sanitize import sanitize_line


class Running(Protocol):
    """A reply in the making."""

    def end_here(self) -> None:
        """On the owner thread: end it with what there is and release the model."""
        ...


@dataclass(frozen=True)
class LoadedModel:
    """For the owner thread only, except `checkpoint` and `tokenizer`, which never change."""

    checkpoint: Checkpoint
    tokenizer: Tokenizer
    reasoning_prompt: ReasoningPrompt | None
    model: MagistralModel
    features: FeatureStore
    caches: CacheStore
    draft: "DraftModel | None" = None
    """A smaller model that drafts for this one."""
    running: "WeakSet[Running]" = field(default_factory=lambda: WeakSet[Running]())
    """Replies in the making. They hold the weights until they end."""

    def kv_bytes_per_token(self, kv_bits: int) -> int:
        """Memory of one token in a KV cache of that width."""
        return self.size.kv_bytes_per_token(kv_bits)

    @property
    def prefill_step(self) -> PrefillStep:
        """Sizes of prefill chunks on this machine."""
        gpu = mx.default_device() == mx.Device(mx.gpu)
        return prefill_step(self.checkpoint.config.text, mx.device_info(), gpu=gpu)

    @cached_property
    def size(self) -> ModelSize:
        """Its memory needs."""
        return size_of(self.checkpoint, float_bytes=float_bytes_here())

    @cached_property
    def identity(self) -> str:
        """Identity of the model for saved KV caches. It includes the computing dtype."""
        return f"{model_identity(self.checkpoint)}-float{8 * float_bytes_here()}"

    @property
    def context_length(self) -> int:
        """In tokens, prompt and reply together."""
        return self.checkpoint.config.text.max_position_embeddings

    @property
    def geometry(self) -> ImageGeometry | None:
        """How images become tokens; None for a model without vision."""
        return _geometry(self.checkpoint)


def open_model(
    directory: Path,
    *,
    kv_bits: int = 16,
    cache_bytes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LoadedModel:
    """Open and load a converted folder.

    Args:
        kv_bits: width of the KV cache; a useful context must fit with it.
        cache_bytes: memory for idle KV caches; None: by this machine.
        progress: called with bytes read and bytes in all.

    Raises:
        CheckpointError: the folder is no usable checkpoint, or its tokenizer is another model's.
        MemoryLimitError: its weights and a useful context do not fit this machine.
    """
    checkpoint = open_checkpoint(directory)
    config = checkpoint.config
    geometry = _geometry(checkpoint)
    tokenizer = Tokenizer.from_file(checkpoint.tokenizer_file, geometry)
    if tokenizer.vocab_size > config.text.vocab_size:
        raise CheckpointError(
            f"{directory}: tekken.json has {tokenizer.vocab_size} ids, the weights {config.text.vocab_size}",
            "Take tekken.json and the weights from the same model.",
        )
    if geometry is not None and tokenizer.special.image != config.image_token_id:
        raise CheckpointError(
            f"{directory}: [IMG] is {tokenizer.special.image} in tekken.json"
            f" and {config.image_token_id} in config.json",
            "Take both files from the same model.",
        )
    prompt = checkpoint.system_prompt
    reasoning_prompt = None if prompt is None else ReasoningPrompt.parse(prompt)
    if reasoning_prompt is not None and reasoning_prompt.marks is not tokenizer.thought_marks:
        raise CheckpointError(
            f"{directory}: SYSTEM_PROMPT.txt marks thoughts with {reasoning_prompt.marks.opening},"
            f" the tokenizer with {tokenizer.thought_marks.opening}",
            "Take both files from the same model.",
        )
    check_before_loading(checkpoint, kv_bits=kv_bits)
    model = load_model(checkpoint, progress=progress)
    if cache_bytes is None:
        cache_bytes = idle_cache_bytes(size_of(checkpoint, float_bytes=float_bytes_here()), this_machine())
    return LoadedModel(
        checkpoint,
        tokenizer,
        reasoning_prompt,
        model,
        FeatureStore(model),
        CacheStore(model, limit_bytes=cache_bytes),
    )


def _geometry(checkpoint: Checkpoint) -> ImageGeometry | None:
    config = checkpoint.config
    if config.vision is None:
        return None
    return ImageGeometry(
        patch_size=config.vision.patch_size,
        spatial_merge_size=config.spatial_merge_size,
        longest_edge=config.vision.image_size,
    )


@dataclass(frozen=True)
class DraftModel:
    """The smaller model and its KV cache, which holds the prompt of the last reply."""

    loaded: LoadedModel
    cache: PromptCache


def with_draft(
    loaded: LoadedModel, directory: Path, *, progress: Callable[[int, int], None] | None = None
) -> LoadedModel:
    """`loaded` with the model in `directory` to draft for it.

    Raises:
        CheckpointError, MemoryLimitError: as `open_model`.
        UsageError: the two have different tokenizers.
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
