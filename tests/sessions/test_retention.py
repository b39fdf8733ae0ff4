"""Images of removed conversations go too, but never one that anything may still show."""

import os
import time
from pathlib import Path

import pytest

from magistral_mlx.sessions.library import Library
from magistral_mlx.sessions.records import KeptImage
from magistral_mlx.sessions.retention import TRASH_DAYS
from magistral_mlx.sessions.tree import ROOT
from magistral_mlx.sessions.unsent import Draft, save_draft
from magistral_mlx.storage.paths import images_directory

_OLD = time.time() - (TRASH_DAYS + 1) * 86_400


def image(letter: str) -> Path:
    path = images_directory() / f"{letter * 64}.png"
    for file in (path, path.parent / "small" / path.name):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
        os.utime(file, (_OLD, _OLD))
    return path


def keep(library: Library, *images: Path) -> str:
    session = library.new()
    kept = tuple(KeptImage("chart.png", each.name) for each in images)
    session.ask("What is this?", parent=ROOT, images=kept)
    session.close()
    return session.id


@pytest.fixture
def library() -> Library:
    """Make a library with a conversation that was deleted long ago, about the images a to e."""
    library = Library()
    old = keep(library, *map(image, "abcde"))
    library.delete(old)
    os.utime(library.trash / f"{old}.jsonl", (_OLD, _OLD))
    return library


def left() -> str:
    return "".join(sorted(path.name[0] for path in images_directory().glob("*.png")))


def test_only_what_nothing_refers_to_goes(library: Library) -> None:
    keep(library, image("b"))
    lately_deleted = keep(library, image("c"), image("f"))
    save_draft(library.new().path, Draft("look", (str(image("d")),)))
    os.utime(image("e"))  # attached just now, and in no file yet
    library.delete(lately_deleted)
    assert left() == "bcdef"
    assert not (images_directory() / "small" / f"{'a' * 64}.png").exists()
    library.restore(lately_deleted)


def test_a_file_that_cannot_be_read_keeps_all(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    unreadable, other = keep(library), keep(library)
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.stem == unreadable:
            raise PermissionError
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    library.delete(other)
    assert left() == "abcde"
    assert len(library.deleted()) == 1


def test_a_name_in_a_conversation_never_leads_elsewhere(library: Library, tmp_path: Path) -> None:
    outside = tmp_path / f"{'0' * 64}.png"
    outside.write_bytes(b"x")
    os.utime(outside, (_OLD, _OLD))
    old = keep(library, outside.parent / f"../../{outside}")
    library.delete(old)
    os.utime(library.trash / f"{old}.jsonl", (_OLD, _OLD))
    library.delete(keep(library))
    assert outside.exists()
    assert left() == ""
