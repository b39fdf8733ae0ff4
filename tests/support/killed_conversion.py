"""A conversion in a process of its own that kills itself with SIGKILL at its nth step towards the disk.

Steps are writes, flushes, renames and removals, and each layer of a report. A write on which it dies is torn:
half of it arrives.
Processes are forked from a server that has imported everything, so that many of them cost little; on a Mac,
where forking after an import of Metal is not safe, they are started anew.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import constants

from magistral_mlx_convert import conversion
from magistral_mlx_convert.planning import plan
from magistral_mlx_convert.report import calibration
from magistral_mlx_convert.report.streamed_model import StreamedModel
from magistral_mlx_convert.sources.hub.growing_file import GrowingFile
from magistral_mlx_convert.writing import journal, shard_file, shard_writer, staging, stream

_PATIENCE = 240.0

# Not this module: the server knows only what is installed.
_IMPORTED_ONCE = [
    "magistral_mlx_convert.conversion",
    "magistral_mlx_convert.report.compare",
    "magistral_mlx_convert.sources.hub.open",
    "magistral_mlx.machine.telemetry",
]


BOUNDS: Mapping[str, Any] = {
    "SHARD_BYTES": plan,
    "MARK_BYTES": shard_writer,
    "CHUNK_BYTES": stream,
    "LONGEST": calibration,
}
"""What may be bounded, and the module that has it."""


@dataclass(frozen=True)
class Job:
    """What to convert; `hub` names the endpoint and the cache when `source` is a hub id."""

    source: str
    target: Path
    bounds: Mapping[str, int]
    """Of those in `BOUNDS`."""
    hub: tuple[str, Path] | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of `convert`."""
    only: str | None = None
    """Only steps of this name count, such as `pass_layer` or `write_bytes`."""


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
    for name, value in job.bounds.items():
        setattr(BOUNDS[name], name, value)
    if job.hub is not None:
        turn_to(*job.hub)
    steps = _arm(at, only=job.only)
    conversion.convert(job.source, job.target, **job.options)
    steps_file.write_text(str(steps()))


def turn_to(endpoint: str, cache: Path) -> None:
    """Turns the hub library of this process towards a stand-in."""
    constants.ENDPOINT = endpoint
    constants.HUGGINGFACE_CO_URL_TEMPLATE = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    constants.HF_HUB_CACHE = str(cache)
    constants.HF_HUB_OFFLINE = False
    constants.DOWNLOAD_CHUNK_SIZE = 20_000


def _arm(at: int, *, only: str | None) -> Callable[[], int]:
    """Wraps everything that reaches the disk; returns what counts the steps so far."""
    count = 0

    def dies(name: str) -> bool:
        nonlocal count
        counts = only in (None, name)
        count += counts
        return counts and count == at

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def before(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def step(*arguments: Any, **options: Any) -> Any:
            if dies(name):
                die()
            return original(*arguments, **options)

        setattr(owner, name, step)

    def torn(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def step(self: Any, data: Any) -> Any:
            if dies(name):
                original(self, memoryview(data)[: len(data) // 2])
                die()
            return original(self, data)

        setattr(owner, name, step)

    torn(shard_file.ShardFile, "append")
    torn(GrowingFile, "write")
    torn(Path, "write_bytes")
    before(StreamedModel, "pass_layer")
    before(shard_file.ShardFile, "sync")
    before(journal, "replace_file")
    before(shard_writer, "sync_folder")
    before(staging, "sync_folder")
    before(staging, "sync")
    before(staging.Workplace, "clear")
    before(staging.Workplace, "remove")
    before(Path, "rename")
    before(Path, "replace")
    before(Path, "unlink")
    return lambda: count
