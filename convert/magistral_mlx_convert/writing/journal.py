"""Record finished work, for the next run to continue from.

`journal.json` beside the growing folder holds the plan's fingerprint, every finished shard with its SHA-256,
and a mark in the open shard: so many parameters, so many bytes, their SHA-256. Nothing it says is believed
before the bytes are hashed again.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

from magistral_mlx.storage.atomic import hash_file, open_regular, read_bytes, replace_file
from magistral_mlx_convert.planning.plan import Plan
from magistral_mlx_convert.writing.kernel import backend, mlx_version

JOURNAL_FILE = "journal.json"
_MOST_BYTES = 16 << 20
"""A journal of Magistral Small has 100 kB."""
FORMAT_VERSION = 1
"""Of the converted folder. Another version is another fingerprint: an old partial run is not continued."""

Errors = Mapping[str, tuple[float, float]]
"""Parameter -> squared error and squared weight, over the measured rows."""


@dataclass(frozen=True)
class Finished:
    """A complete shard."""

    nbytes: int
    sha256: str
    errors: Errors


@dataclass(frozen=True)
class Mark:
    """A synced position in the open shard, on the border between two parameters."""

    file: str
    units: int
    nbytes: int
    sha256: str
    errors: Errors


@dataclass(frozen=True)
class Progressed:
    """Finished work of a run; immutable, written anew at every step."""

    fingerprint: str
    finished: Mapping[str, Finished]
    mark: Mark | None = None

    def with_mark(self, mark: Mark) -> "Progressed":
        return replace(self, mark=mark)

    def with_finished(self, file: str, shard: Finished) -> "Progressed":
        return replace(self, finished={**self.finished, file: shard}, mark=None)


def fingerprint(
    plan: Plan,
    identity: Sequence[tuple[str, int, int]],
    *,
    measure_every: int,
    calibration: str | None = None,
) -> str:
    """Digest everything that the output bytes depend on: source files, recipe, plan, backend, versions.

    `calibration` is the digest of the text that a calibrated recipe reads.
    """
    facts: dict[str, object] = {
        "format": FORMAT_VERSION,
        "mlx": mlx_version(),
        "backend": backend(),
        "source": identity,
        "recipe": [plan.recipe.name, plan.recipe.dtype],
        "measure_every": measure_every,
        "calibration": calibration,
        "shards": [
            [
                shard.file,
                hashlib.sha256(shard.header).hexdigest(),
                [unit.parameter.source.name for unit in shard.units],
            ]
            for shard in plan.shards
        ],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def save(folder: Path, progressed: Progressed) -> None:
    """Write the journal durably, its own digest first."""
    body = json.dumps(asdict(progressed)).encode()
    replace_file(folder / JOURNAL_FILE, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


def load(folder: Path) -> Progressed | None:
    """Read the journal in `folder`; None where it is missing or damaged."""
    try:
        digest, _, body = read_bytes(folder / JOURNAL_FILE, most=_MOST_BYTES).partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != digest:
            return None
        raw = cast(dict[str, object], json.loads(body))
        finished = cast(dict[str, dict[str, object]], raw["finished"])
        mark = cast("dict[str, object] | None", raw["mark"])
        return Progressed(
            fingerprint=str(raw["fingerprint"]),
            finished={
                file: Finished(
                    nbytes=int(str(shard["nbytes"])),
                    sha256=str(shard["sha256"]),
                    errors=_errors(shard["errors"]),
                )
                for file, shard in finished.items()
            },
            mark=None
            if mark is None
            else Mark(
                file=str(mark["file"]),
                units=int(str(mark["units"])),
                nbytes=int(str(mark["nbytes"])),
                sha256=str(mark["sha256"]),
                errors=_errors(mark["errors"]),
            ),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _errors(raw: object) -> Errors:
    table = cast(dict[str, list[float]], raw)
    return {name: (float(noise), float(signal)) for name, (noise, signal) in table.items()}


def confirmed_part(folder: Path, plan: Plan, progressed: Progressed) -> tuple[Progressed, list[str]]:
    """Return the part of `progressed` that the files confirm, and a line on each other part."""
    complaints: list[str] = []
    finished: dict[str, Finished] = {}
    for shard in plan.shards:
        claimed = progressed.finished.get(shard.file)
        if claimed is None:
            continue
        path = folder / shard.file
        if (
            path.is_file()
            and path.stat().st_size == shard.nbytes == claimed.nbytes
            and hash_file(path) == claimed.sha256
        ):
            finished[shard.file] = claimed
        else:
            complaints.append(f"{shard.file} differs from the journal and is converted again")
    mark = progressed.mark
    if mark is not None and not _confirms(folder / mark.file, mark):
        complaints.append(f"{mark.file} differs from the journal and is started again")
        mark = None
    return Progressed(fingerprint=progressed.fingerprint, finished=finished, mark=mark), complaints


def _confirms(path: Path, mark: Mark) -> bool:
    if not path.is_file() or path.stat().st_size < mark.nbytes:
        return False
    digest = hashlib.sha256()
    left = mark.nbytes
    with open_regular(path) as file:
        while left:
            block = file.read(min(left, 1 << 22))
            digest.update(block)
            left -= len(block)
    return digest.hexdigest() == mark.sha256
