"""Files are replaced in one step, privately, and nothing but a regular file is read."""

import os
from pathlib import Path

import pytest

from magistral_mlx.storage import atomic
from magistral_mlx.storage.atomic import (
    hash_file,
    open_regular,
    read_bytes,
    read_json,
    replace_file,
    replacing,
)


def test_a_file_is_replaced_privately_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    path.write_bytes(b"old")
    path.chmod(0o644)
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["kept.json"]


def test_what_need_not_survive_a_loss_of_power_is_not_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "sync", lambda descriptor: pytest.fail("synced"))
    replace_file(tmp_path / "draft", b"old", durable=False)
    replace_file(tmp_path / "draft", b"new", durable=False)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("draft", b"new")]


def test_a_link_is_replaced_and_never_followed(tmp_path: Path) -> None:
    target = tmp_path / "foreign"
    target.write_bytes(b"theirs")
    path = tmp_path / "kept"
    path.symlink_to(target)
    replace_file(path, b"ours")
    assert target.read_bytes() == b"theirs"
    assert not path.is_symlink()


def test_an_error_keeps_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), replacing(path) as fresh:
        fresh.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["kept"]


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match=r"regular|directory"):
            open_regular(path)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"{}")
    assert read_json(tmp_path / "link", most=2) == {}
    with pytest.raises(OSError, match="link"):
        open_regular(tmp_path / "link", follow=False)


def test_a_file_that_is_too_large_or_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"[" * 200_000)
    with pytest.raises(OSError, match="larger than 10 bytes"):
        read_bytes(path, most=10)
    with pytest.raises(ValueError, match=r"nested too deeply|Expecting"):
        read_json(path, most=1_000_000)


def test_the_hash_is_the_usual_one(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert hash_file(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
