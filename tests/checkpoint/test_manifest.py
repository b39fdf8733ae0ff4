"""`verify_folder`: any changed byte, missing, extra or foreign file of a converted folder is named."""

import json
import random
import shutil
from pathlib import Path

import pytest

from magistral_mlx.checkpoint.folder import MANIFEST_FILE, open_checkpoint
from magistral_mlx.checkpoint.manifest import BadFile, verify_folder
from magistral_mlx.errors import CheckpointError
from magistral_mlx_convert import convert
from support.random_checkpoint import write_source


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("converted")
    return convert(write_source(work / "hf"), work / "out", report=True)


@pytest.fixture
def folder(converted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(converted, tmp_path / "copy"))


def test_a_whole_folder_has_no_bad_file(folder: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    found = verify_folder(folder, progress=lambda *moment: seen.append(moment))
    assert found.bad == ()
    assert found.files == len(list(folder.iterdir()))
    assert seen[-1][1] == seen[-1][2] == found.bytes
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_one_changed_byte_anywhere_is_named(folder: Path) -> None:
    chance = random.Random(1)
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        for position in {0, len(content) - 1, *(chance.randrange(len(content)) for _ in range(6))}:
            spoiled = bytearray(content)
            spoiled[position] ^= 1 << chance.randrange(8)
            path.write_bytes(spoiled)
            if path.name == MANIFEST_FILE:
                assert manifest_is_doubted(folder, content), position
            else:
                assert [bad.name for bad in verify_folder(folder).bad] == [path.name], position
        path.write_bytes(content)
    assert verify_folder(folder).bad == ()


def manifest_is_doubted(folder: Path, original: bytes) -> bool:
    """Named as damaged or as another one; or what it says is the same, because the byte was a mere space."""
    try:
        found = verify_folder(folder)
    except CheckpointError as error:
        return MANIFEST_FILE in str(error)
    if any(bad.name == MANIFEST_FILE for bad in found.bad):
        return True
    return bool(json.loads((folder / MANIFEST_FILE).read_bytes()) == json.loads(original))


@pytest.mark.parametrize("name", ["config.json", "tekken.json", "model-00001-of-00001.safetensors"])
def test_a_missing_and_a_shorter_file_are_named(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:-1])
    (bad,) = verify_folder(folder).bad
    assert (bad.name, "bytes instead of" in bad.problem) == (name, True)
    path.unlink()
    assert verify_folder(folder).bad == (BadFile(name, "is missing"),)


def test_a_file_that_the_model_would_read_and_the_manifest_does_not_know_is_named(folder: Path) -> None:
    (folder / "generation_config.json").write_text("{}")
    (folder / "my notes.md").write_text("mine")
    (folder / ".DS_Store").write_bytes(b"\0")
    assert verify_folder(folder).bad == (BadFile("generation_config.json", "is not in the manifest"),)


def test_a_folder_without_a_manifest(folder: Path) -> None:
    (folder / MANIFEST_FILE).unlink()
    with pytest.raises(CheckpointError, match=r"no magistral-mlx\.json"):
        verify_folder(folder)


@pytest.mark.parametrize(
    "files",
    [None, {}, [], {"../secret": {"bytes": 1, "sha256": ""}}, {"a/b": {}}, {"a": 1}, {"a": {"bytes": "1"}}],
    ids=str,
)
def test_a_manifest_that_is_none_is_refused(folder: Path, files: object) -> None:
    (folder / MANIFEST_FILE).write_text(json.dumps({"files": files}))
    with pytest.raises(CheckpointError, match=r"magistral-mlx\.json is damaged"):
        verify_folder(folder)


@pytest.mark.parametrize("name", ["\ud800", "a\0b", "\x1b[31m.json"])
def test_a_name_that_no_file_can_have_is_damage(folder: Path, name: str) -> None:
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest["files"][name] = {"bytes": 1, "sha256": "0" * 64}
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="is damaged"):
        verify_folder(folder)
    manifest["files"].pop(name)
    (folder / MANIFEST_FILE).write_text(json.dumps({**manifest, "note": name}))
    assert [each.name for each in verify_folder(folder).bad] == [MANIFEST_FILE]


def test_a_folder_that_may_not_be_looked_into(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(self: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "is_file", forbidden)
    with pytest.raises(CheckpointError, match="Permission denied"):
        open_checkpoint(folder)


def test_what_is_not_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a folder"):
        verify_folder(tmp_path / "none")
