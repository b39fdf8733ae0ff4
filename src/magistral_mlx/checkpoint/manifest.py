"""The manifest of a converted folder, `magistral-mlx.json`: sealed by its writer, checked by `verify_folder`.

It names every file with its size and SHA-256. So that a changed byte in the manifest itself is noticed too,
it carries the SHA-256 of all its other fields.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from magistral_mlx.checkpoint.folder import MANIFEST_FILE, read_json
from magistral_mlx.errors import CheckpointError
from magistral_mlx.storage.atomic import open_regular

SEAL = "manifest_sha256"
"""The key of the manifest's own digest: over its other fields as JSON with sorted keys and no spaces."""

_BLOCK_BYTES = 1 << 22
_READ_BY_THE_RUNTIME = (".safetensors", ".json", ".txt")
"""Kinds of files that could change the model's behaviour if the manifest does not list them."""


@dataclass(frozen=True)
class BadFile:
    """One file that differs from the manifest."""

    name: str
    problem: str


@dataclass(frozen=True)
class Verification:
    """Result of a check: counts of checked files and bytes, and the bad files."""

    files: int
    bytes: int
    bad: tuple[BadFile, ...]
    names: tuple[str, ...]
    """Number of checked files, manifest included."""


def sealed(manifest: Mapping[str, object]) -> dict[str, object]:
    """Return the manifest with its own digest; call it last, after every other change."""
    return {**manifest, SEAL: _seal(manifest)}


def verify_folder(
    directory: Path, *, progress: Callable[[str, int, int], None] | None = None
) -> Verification:
    """Read every file of a converted folder and compare it with the manifest.

    Args:
        progress: called with the file's name, the bytes read so far and the bytes in all.

    Raises:
        CheckpointError: there is no manifest, or it is not one.
    """
    if not directory.is_dir():
        raise CheckpointError(f"{directory} is not a folder", "Name a folder written by `magistral convert`.")
    if not (directory / MANIFEST_FILE).is_file():
        raise CheckpointError(
            f"{directory} has no {MANIFEST_FILE}, so that there is nothing to compare its files with",
            "Convert the model with `magistral convert`, which writes one.",
        )
    manifest = read_json(directory / MANIFEST_FILE)
    expected = _expected(directory, manifest)
    total = sum(nbytes for nbytes, _ in expected.values())
    bad: list[BadFile] = []
    if manifest.get(SEAL) != _seal(manifest):
        bad.append(BadFile(MANIFEST_FILE, "is not what was written: it does not have its own SHA-256"))
    done = 0
    for name, (nbytes, digest) in sorted(expected.items()):

        def tell(count: int, name: str = name, before: int = done) -> None:
            if progress is not None:
                progress(name, before + count, total)

        if problem := _problem(directory / name, nbytes, digest, tell):
            bad.append(BadFile(name, problem))
        done += nbytes
    bad += [BadFile(name, "is not in the manifest") for name in _unknown(directory, expected)]
    return Verification(
        files=len(expected) + 1, bytes=total, bad=tuple(bad), names=(*sorted(expected), MANIFEST_FILE)
    )


def _seal(manifest: Mapping[str, object]) -> str:
    rest = {key: value for key, value in manifest.items() if key != SEAL}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _expected(directory: Path, manifest: Mapping[str, object]) -> dict[str, tuple[int, str]]:
    """Name -> size, SHA-256; names are outside text and may not lead out of the folder."""
    damaged = CheckpointError(
        f"{directory / MANIFEST_FILE} is damaged: its list of files can't be read", "Convert the model again."
    )
    files = manifest.get("files")
    if not isinstance(files, dict) or not files:
        raise damaged
    expected: dict[str, tuple[int, str]] = {}
    for name, raw in cast(dict[str, object], files).items():
        entry = cast(dict[str, object], raw) if isinstance(raw, dict) else {}
        nbytes, digest = entry.get("bytes"), entry.get("sha256")
        if not isinstance(nbytes, int) or not isinstance(digest, str) or not _is_plain(name):
            raise damaged
        expected[name] = nbytes, digest
    return expected


def _is_plain(name: str) -> bool:
    """Tell whether `name` is that of a file in the folder itself; JSON can spell a half of a character."""
    return name.isprintable() and Path(name).name == name != ""


def _problem(path: Path, nbytes: int, digest: str, tell: Callable[[int], None]) -> str | None:
    try:
        if not path.is_file():
            return "is missing"
        if (size := path.stat().st_size) != nbytes:
            return f"has {size} bytes instead of {nbytes}"
        found = _digest(path, tell)
    except OSError as error:
        return f"can't be read: {error.strerror}"
    return None if found == digest else "has changed (its SHA-256 differs)"


def _digest(path: Path, tell: Callable[[int], None]) -> str:
    total = hashlib.sha256()
    count = 0
    with open_regular(path) as file:
        while block := file.read(_BLOCK_BYTES):
            total.update(block)
            count += len(block)
            tell(count)
    return total.hexdigest()


def _unknown(directory: Path, expected: Mapping[str, object]) -> list[str]:
    return sorted(
        path.name
        for path in directory.iterdir()
        if path.name not in expected
        and path.name != MANIFEST_FILE
        and path.suffix in _READ_BY_THE_RUNTIME
        and not path.name.startswith(".")
    )
