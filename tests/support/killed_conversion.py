"""A conversion in a process of its own that kills itself with SIGKILL at its nth step towards the disk.

Steps are writes, flushes, renames and removals. A write on which it dies is torn: half of it arrives.
Processes are forked from a server that has imported everything, so that many of them cost little; on a Mac,
where forking after an import of Metal is not safe, they are started anew.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import constants

from magistral_mlx_convert import conversion, journal, plan, shard_file, shard_writer, stream, workplace
from magistral_mlx_convert.sources.growing_file import GrowingFile

_PATIENCE = 240.0

# Not this module: the server knows only what is installed.
_IMPORTED_ONCE = [
    "magistral_mlx_convert.conversion",
    "magistral_mlx_convert.sources.hub",
    "magistral_mlx.telemetry",
]


@dataclass(frozen=True)
class Job:
    """What to convert; `hub` names the endpoint and the cache when `source` is a hub id."""

    source: str
    target: Path
    bounds: Mapping[str, int]
    """SHARD_BYTES, MARK_BYTES and CHUNK_BYTES."""
    hub: tuple[str, Path] | None = None


def run_and_kill(job: Job, *, at: int, steps_file: Path) -> int:
    """Converts in a process that dies at step `at` (0: never) and returns its exit code.

    `steps_file` holds the number of steps after a run that was not killed.
    """
    context = multiprocessing.get_context("spawn" if sys.platform == "darwin" else "forkserver")
    context.set_forkserver_preload(_IMPORTED_ONCE)
    process = context.Process(target=_convert, args=(job, at, steps_file))
    process.start()
    process.join(_PATIENCE)
    assert process.exitcode is not None, "the conversion hangs"
    return process.exitcode


def _convert(job: Job, at: int, steps_file: Path) -> None:
    plan.SHARD_BYTES = job.bounds["SHARD_BYTES"]
    shard_writer.MARK_BYTES = job.bounds["MARK_BYTES"]
    stream.CHUNK_BYTES = job.bounds["CHUNK_BYTES"]
    if job.hub is not None:
        _turn_to(*job.hub)
    steps = _arm(at)
    conversion.convert(job.source, job.target)
    steps_file.write_text(str(steps()))


def _turn_to(endpoint: str, cache: Path) -> None:
    constants.ENDPOINT = endpoint
    constants.HUGGINGFACE_CO_URL_TEMPLATE = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    constants.HF_HUB_CACHE = str(cache)
    constants.HF_HUB_OFFLINE = False
    constants.DOWNLOAD_CHUNK_SIZE = 20_000


def _arm(at: int) -> Callable[[], int]:
    """Wraps everything that reaches the disk; returns what counts the steps so far."""
    count = 0

    def dies() -> bool:
        nonlocal count
        count += 1
        return count == at

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def before(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def step(*arguments: Any, **options: Any) -> Any:
            if dies():
                die()
            return original(*arguments, **options)

        setattr(owner, name, step)

    def torn(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def step(self: Any, data: Any) -> Any:
            if dies():
                original(self, memoryview(data)[: len(data) // 2])
                die()
            return original(self, data)

        setattr(owner, name, step)

    torn(shard_file.ShardFile, "append")
    torn(GrowingFile, "write")
    torn(Path, "write_bytes")
    before(shard_file.ShardFile, "sync")
    before(journal, "write_durably")
    before(shard_writer, "sync_folder")
    before(workplace, "sync_folder")
    before(workplace, "sync")
    before(workplace.Workplace, "clear")
    before(workplace.Workplace, "remove")
    before(Path, "rename")
    before(Path, "replace")
    before(Path, "unlink")
    return lambda: count
