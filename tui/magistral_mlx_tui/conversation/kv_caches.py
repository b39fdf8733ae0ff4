"""KV caches of conversations on disk: a long one resumes instantly, without a new prefill.

A prefill of 5,000 tokens takes a 24 B model much longer than loading their cache of 0.8 GB from a disk.
Caches of short conversations are not worth the space, and all caches together have a limit. A cache is only a
shortcut: if anything is wrong with it, the prompt is prefilled again.
"""

import asyncio
import logging
import shutil
from pathlib import Path

from magistral_mlx.engine.protocol import CacheDone, Engine, EngineModel
from magistral_mlx.storage.units import GB, GIB

logger = logging.getLogger(__name__)

WORTH_TOKENS = 2_000
"""Shorter conversations are prefilled again in a few seconds."""
MOST_BYTES = 4 * GB
"""Limit of all caches together; the oldest are deleted first."""
_LEFT_FREE = 8 * GIB
"""Free bytes of the disk that caches never use."""
_PATIENCE_SECONDS = 60.0


class Caches:
    """The kept caches in `directory`, one file for each conversation.

    Args:
        engine: writes and reads them.
        directory: their own folder.
    """

    def __init__(self, engine: Engine, directory: Path) -> None:
        self._engine = engine
        self._directory = directory
        self._kept: tuple[str, int] | None = None

    def path_of(self, id: str) -> Path:  # noqa: A002 - the word of the format
        """The file for the conversation called `id`."""
        return self._directory / f"{id}.kv"

    async def keep(self, id: str, *, tokens: int, model: EngineModel) -> bool:  # noqa: A002
        """Write the cache of the engine's conversation if it is worth it; returns whether it did."""
        expected = tokens * model.kv_bytes_per_token
        if tokens < WORTH_TOKENS or expected > MOST_BYTES or self._kept == (id, tokens):
            return False
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if shutil.disk_usage(self._directory).free - expected < _LEFT_FREE:
                return False
            async with asyncio.timeout(_PATIENCE_SECONDS):
                done = await self._engine.save_cache(str(self.path_of(id)))
            if isinstance(done, CacheDone):
                self._kept = (id, tokens)
                self._make_room()
                return True
        except (OSError, TimeoutError) as error:
            logger.warning("the cache of %s was not kept: %s", id, error)
        return False

    async def bring_back(self, id: str) -> None:  # noqa: A002
        """Load the cache of the engine's conversation; delete one that it refuses."""
        path = self.path_of(id)
        if not path.is_file():
            return
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                done = await self._engine.load_cache(str(path))
            if not isinstance(done, CacheDone) and not done.engine_lost:
                path.unlink(missing_ok=True)
        except (OSError, TimeoutError) as error:
            logger.warning("the cache of %s was not read: %s", id, error)

    def _make_room(self) -> None:
        kept = sorted(self._directory.glob("*.kv"), key=lambda path: path.stat().st_mtime, reverse=True)
        total = 0
        for path in kept:
            total += path.stat().st_size
            if total > MOST_BYTES:
                path.unlink(missing_ok=True)
