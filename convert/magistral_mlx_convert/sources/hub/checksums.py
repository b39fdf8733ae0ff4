"""Known checksums of weight files, and comparing files with them.

Safetensors files carry no checksum of their own. The hub names one for each of its files; its cache keeps
it as the name of the blob, and a download into a folder in a note beside it. Other files have no checksum:
a flipped bit that leaves the header valid and the weight finite can't be noticed there.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_BLOCK_BYTES = 1 << 22

_SHA256, _GIT = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")
_NOTES = Path(".cache/huggingface/download")
"""Notes of `hf download --local-dir`: commit, etag and time of each file, a line each."""


class Hash(Protocol):
    """The part of hashlib's objects used here."""

    def update(self, data: bytes | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


@dataclass(frozen=True)
class Checksum:
    """A file's digest: `sha256`, or `git` for what the hub stores as a plain blob (SHA-1 with a prefix)."""

    kind: str
    digest: str

    @classmethod
    def is_valid(cls, kind: str, digest: object) -> bool:
        """Tell if `digest` is hexadecimal of the length of its kind."""
        return isinstance(digest, str) and bool((_SHA256 if kind == "sha256" else _GIT).fullmatch(digest))

    def begin(self, size: int) -> Hash:
        """An empty hash of this kind, for a file of `size` bytes."""
        if self.kind == "git":
            return hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
        return hashlib.sha256()


def known_checksum(path: Path) -> Checksum | None:
    """Return the hub's checksum of a local file; None where it is not known."""
    blob = path.resolve()
    if path.is_symlink() and blob.parent.name == "blobs" and _SHA256.fullmatch(blob.name):
        return Checksum("sha256", blob.name)
    note = path.parent / _NOTES / f"{path.name}.metadata"
    try:
        etag = note.read_text().splitlines()[1].strip()
    except (OSError, ValueError, IndexError):
        return None
    return Checksum("sha256", etag) if _SHA256.fullmatch(etag) else None


def keeps_to(path: Path, checksum: Checksum, *, cancelled: Callable[[], bool] = lambda: False) -> bool:
    """Read the whole file and compare.

    Raises:
        OSError: it can't be read.
        Cancelled: `cancelled` said so meanwhile.
    """
    found = checksum.begin(path.stat().st_size)
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK_BYTES):
            if cancelled():
                raise Cancelled
            found.update(block)
    return found.hexdigest() == checksum.digest


class Cancelled(Exception):  # noqa: N818 - not an error: someone wanted it
    """The work was given up because nobody waits for it any more."""
