"""The KV cache of one conversation and the record of its positions; only new tokens are read.

A position is identified by its token id; a position filled by an image feature by the image's digest and
the feature's number. So two images of one size are never confused, and a changed image invalidates the
cache from its first position on.
"""

from collections.abc import Iterable, Sequence

import mlx.core as mx

from magistral_mlx.errors import PromptError
from magistral_mlx.generation.evaluation import layers_bytes, trim_layers
from magistral_mlx.model.kv_cache import LayerCache, copy_layers, room_of
from magistral_mlx.model.magistral import MagistralModel
from magistral_mlx.prompt.turns import PreparedPrompt

Key = int | tuple[str, int]
"""A token id, or an image's digest and the number of the feature."""
SPARE_POSITIONS = 1024
"""Fewer unused positions than this are not worth a copy."""


def position_keys(prompt: PreparedPrompt, *, image_id: int | None) -> list[Key]:
    """One key per position of the prompt.

    Raises:
        PromptError: the prompt has another number of [IMG] positions than its images have features.
    """
    features = [(image.digest, number) for image in prompt.images for number in range(image.token_count)]
    positions = [index for index, token_id in enumerate(prompt.token_ids) if token_id == image_id]
    if len(positions) != len(features):
        raise PromptError(
            f"The prompt has {len(positions)} image positions, its images have {len(features)} features",
            "Give exactly the images that the prompt was made for, in order.",
        )
    keys: list[Key] = list(prompt.token_ids)
    for index, feature in zip(positions, features, strict=True):
        keys[index] = feature
    return keys


def common_length(held: Sequence[Key], wanted: Sequence[Key]) -> int:
    """Length of the common prefix."""
    longest = min(len(held), len(wanted))
    # Comparing slices in halves runs in C: a long conversation has a hundred thousand keys.
    low, high = 0, longest
    if held[:longest] == wanted[:longest]:
        return longest
    while low < high:
        middle = (low + high + 1) // 2
        if held[low:middle] == wanted[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


class PromptCache:
    """A KV cache and the record of its positions.

    Both have the same length wherever a reply was stopped. `layers` goes to the model; the code that runs the
    model calls `extend` with the keys it fed.

    Args:
        kv_bits: the width of keys and values: 16 (the model's own dtype), 8 or 4.
    """

    def __init__(self, model: MagistralModel, *, kv_bits: int = 16) -> None:
        self._model = model
        self._keys: list[Key] = []
        self._kv_bits = kv_bits
        self._logits: mx.array | None = None
        self.layers: list[LayerCache] = model.make_cache(bits=kv_bits)

    def __len__(self) -> int:
        """Tokens held."""
        return len(self._keys)

    @property
    def nbytes(self) -> int:
        """Memory of keys and values, spare room included."""
        return layers_bytes(self.layers)

    @property
    def kv_bits(self) -> int:
        """The width of keys and values: 16 (the model's own dtype), 8 or 4."""
        return self._kv_bits

    @property
    def keys(self) -> Sequence[Key]:
        """The key of each position; not to be changed."""
        return self._keys

    @property
    def logits(self) -> mx.array | None:
        """Logits [1, vocab] after the last position, if known; with them a reply goes on at once."""
        return self._logits

    def match(self, keys: Sequence[Key]) -> int:
        """Keep the longest common prefix of the cache and `keys`; drop the rest.

        The last position of `keys` is kept only if the logits after it are known: else it has to be read
        for the logits of the first new token.

        Returns:
            How many positions need not be read again.
        """
        kept = common_length(self._keys, keys)
        if kept == len(keys) and (kept < len(self._keys) or self._logits is None):
            kept = max(kept - 1, 0)
        self.trim(kept)
        return kept

    def extend(self, keys: Iterable[Key], *, logits: mx.array | None = None) -> None:
        """Note what the model has been fed, in order, and the logits [1, vocab] after it."""
        self._keys.extend(keys)
        self._logits = logits

    def copy(self, length: int) -> "PromptCache":
        """A cache of its own with the first `length` positions of this one."""
        copied = PromptCache(self._model, kv_bits=self._kv_bits)
        copied.layers = copy_layers(self.layers, length)
        copied._keys = self._keys[:length]
        return copied

    def restore(self, layers: list[LayerCache], keys: Iterable[Key]) -> None:
        """Become what was saved: layers and what stands at their positions, of the same length."""
        self.layers = layers
        self._keys = list(keys)
        self._logits = None

    def compact(self) -> None:
        """Give memory back if trimming has left more than half of it unused."""
        if room_of(self.layers) > 2 * len(self) + SPARE_POSITIONS:
            self.layers = copy_layers(self.layers, len(self))

    def trim(self, length: int) -> None:
        """Keep the first `length` positions.

        What the cache holds beyond its record (an interrupted step) goes in any case.
        """
        trim_layers(self.layers, length)
        if length < len(self._keys):
            del self._keys[length:]
            self._logits = None

    def reset(self) -> None:
        """Forget everything and give the memory back."""
        self._keys = []
        self._logits = None
        self.layers = self._model.make_cache(bits=self._kv_bits)
