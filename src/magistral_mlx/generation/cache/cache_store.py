"""Idle KV caches of one model, within a limit of bytes.

A question takes the cache with the longest common prefix, of any owner, and gives it back afterwards. Its own
cache is trimmed to the common prefix (an edited question, a regenerated reply). A longer cache of another
owner stays as it is; the question gets a copy of the prefix. So the first question of a branch costs a copy,
and conversations share their prefixes without harm to each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from magistral_mlx.generation.cache.prompt_cache import Key, PromptCache, common_length
from magistral_mlx.model.magistral import MagistralModel


@dataclass(frozen=True)
class _Idle:
    cache: PromptCache
    owner: object


class CacheStore:
    """Idle caches, least recently used first out when they take more than `limit_bytes`.

    The cache given back last stays even when it alone is over the limit: its conversation most likely goes
    on. For the owner thread only.
    """

    def __init__(self, model: MagistralModel, *, limit_bytes: int) -> None:
        self._model = model
        self._limit_bytes = limit_bytes
        self._idle: list[_Idle] = []  # the latest last

    def __len__(self) -> int:
        """Idle caches held."""
        return len(self._idle)

    @property
    def limit_bytes(self) -> int:
        """Most bytes of all idle caches."""
        return self._limit_bytes

    @property
    def nbytes(self) -> int:
        """Memory of all idle caches."""
        return sum(idle.cache.nbytes for idle in self._idle)

    def take(self, keys: Sequence[Key], *, owner: object, kv_bits: int = 16) -> PromptCache:
        """A cache that holds the longest known prefix of `keys`, maybe an empty one, and nothing else.

        Args:
            owner: whoever asks, compared by identity.
            kv_bits: its width. Attention saw the positions in that width only, so no other cache will do.
        """
        usable = [idle for idle in self._idle if idle.cache.kv_bits == kv_bits]
        best = max(usable, key=lambda idle: self._worth(idle, keys, owner), default=None)
        common = 0 if best is None else common_length(best.cache.keys, keys)
        if best is None or not common:
            return PromptCache(self._model, kv_bits=kv_bits)
        if best.owner is owner or common == len(best.cache):
            self._idle.remove(best)
            best.cache.trim(common)
            return best.cache
        return best.cache.copy(common)

    def give_back(self, cache: PromptCache, *, owner: object) -> None:
        """Take back a cache; drop older ones beyond the limit."""
        if not len(cache):
            return
        cache.compact()
        self._idle.append(_Idle(cache, owner))
        self.shrink(self._limit_bytes)

    def make_room(self, nbytes: int) -> None:
        """Evict idle caches until they and an answer of `nbytes` fit into twice the limit."""
        while self._idle and self.nbytes + nbytes > 2 * self._limit_bytes:
            del self._idle[0]

    def shrink(self, limit_bytes: int) -> None:
        """Evict the least recently used caches until the rest fits the limit or one is left."""
        while len(self._idle) > 1 and self.nbytes > limit_bytes:
            del self._idle[0]

    def forget(self, owner: object) -> None:
        """Free the caches of one owner."""
        self._idle = [idle for idle in self._idle if idle.owner is not owner]

    def held(self, owner: object) -> PromptCache | None:
        """The latest cache of that owner."""
        return next((idle.cache for idle in reversed(self._idle) if idle.owner is owner), None)

    def clear(self) -> None:
        """Free everything."""
        self._idle = []

    def _worth(self, idle: _Idle, keys: Sequence[Key], owner: object) -> tuple[int, bool]:
        """The length of the common prefix; among equals the owner's own cache wins."""
        return common_length(idle.cache.keys, keys), idle.owner is owner
