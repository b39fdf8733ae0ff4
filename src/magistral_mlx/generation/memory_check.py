"""Check that a prompt and its reply fit into memory, before anything is computed."""

from collections.abc import Sequence

import mlx.core as mx

from magistral_mlx.errors import MemoryLimitError
from magistral_mlx.generation.cache.prompt_cache import Key, PromptCache, common_length
from magistral_mlx.generation.loaded_model import LoadedModel
from magistral_mlx.memory.admission import Demand, context_before_sending
from magistral_mlx.memory.sizes import this_machine
from magistral_mlx.prompt.turns import PreparedPrompt


def context_that_fits(
    loaded: LoadedModel,
    cache: PromptCache,
    prompt: PreparedPrompt,
    keys: Sequence[Key],
    *,
    max_tokens: int | None,
) -> int:
    """Most tokens of prompt and reply together that fit into memory now, up to the model's context length.

    Raises:
        MemoryLimitError: the prompt and a short reply do not fit; says what would.
    """
    vision = loaded.size.vision
    new = [image for image in prompt.images if not loaded.features.knows(image)]
    demand = Demand(
        size=loaded.size,
        kv_bits=cache.kv_bits,
        held=common_length(cache.keys, keys),
        prompt_tokens=len(keys),
        patches=tuple(image.token_count * vision.merge**2 for image in new) if vision else (),
        max_tokens=max_tokens,
    )
    try:
        return context_before_sending(demand, this_machine())
    except MemoryLimitError:
        # Idle caches only save time.
        loaded.caches.clear()
        mx.clear_cache()
        return context_before_sending(demand, this_machine())
