"""What the KV cache of one conversation holds, position by position, so that only new tokens are read.

A position is identified by its token id; a position filled by a picture feature by the picture's digest and
the feature's number. So two pictures of one size are never confused, and a changed picture spoils the cache
from its first position on, not before.
"""

from collections.abc import Iterable, Sequence
from itertools import takewhile

from magistral_mlx.errors import PromptError
from magistral_mlx.generation.evaluation import layers_bytes, trim_layers
from magistral_mlx.model.kv_cache import LayerCache, pack_layers
from magistral_mlx.model.magistral import MagistralModel
from magistral_mlx.prompt.chat import PreparedPrompt

Key = int | tuple[str, int]
"""A token id, or a picture's digest and the number of the feature."""


def position_keys(prompt: PreparedPrompt, *, image_id: int | None) -> list[Key]:
    """One key per position of the prompt.

    Raises:
        PromptError: the prompt has another number of [IMG] positions than its pictures have features.
    """
    features = [(image.digest, number) for image in prompt.images for number in range(image.token_count)]
    positions = [index for index, token_id in enumerate(prompt.token_ids) if token_id == image_id]
    if len(positions) != len(features):
        raise PromptError(
            f"The prompt has {len(positions)} picture positions, its pictures have {len(features)} features",
            "Give exactly the pictures that the prompt was made for, in order.",
        )
    keys: list[Key] = list(prompt.token_ids)
    for index, feature in zip(positions, features, strict=True):
        keys[index] = feature
    return keys


class PromptCache:
    """The KV cache of one conversation and the record of what is in it.

    The record and the cache always have the same length, wherever a reply was stopped. `layers` goes to the
    model; whoever runs the model reports with `extend` what was fed.

    Args:
        kv_bits: the width of keys and values: 16 (the model's own dtype), 8 or 4.
    """

    def __init__(self, model: MagistralModel, *, kv_bits: int = 16) -> None:
        self._model = model
        self._keys: list[Key] = []
        self._kv_bits = kv_bits
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

    def use_bits(self, kv_bits: int) -> None:
        """Goes on in another width. From 16 bits what is there is packed; else it has to be read again."""
        if kv_bits == self._kv_bits:
            return
        packs = self._kv_bits == 16
        self._kv_bits = kv_bits
        if packs:
            pack_layers(self.layers, head_dim=self._model.config.text.head_dim, bits=kv_bits)
        else:
            self.reset()

    def match(self, keys: Sequence[Key]) -> int:
        """Keeps the longest common beginning of the cache and `keys`, drops the rest.

        The last position of `keys` is never kept: reading it gives the logits of the first new token.

        Returns:
            How many positions need not be read again.
        """
        pairs = zip(self._keys, keys[:-1], strict=False)
        kept = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        self.trim(kept)
        return kept

    def extend(self, keys: Iterable[Key]) -> None:
        """Notes what the model has been fed, in order."""
        self._keys.extend(keys)

    def trim(self, length: int) -> None:
        """Keeps the first `length` positions.

        What the cache holds beyond its record (an interrupted step) goes in any case.
        """
        trim_layers(self.layers, length)
        del self._keys[length:]

    def reset(self) -> None:
        """Forgets everything and gives the memory back."""
        self._keys = []
        self.layers = self._model.make_cache(bits=self._kv_bits)
