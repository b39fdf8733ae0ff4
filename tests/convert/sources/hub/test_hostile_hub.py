"""Names, sizes and checksums of a hub are checked where they enter; nothing is written elsewhere."""

from pathlib import Path

import pytest

from magistral_mlx.errors import NetworkError
from magistral_mlx_convert import convert
from magistral_mlx_convert.sources.hub.checksums import Checksum
from support.hub_server import REPOSITORY, SHARDS, Hub


def written(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("oid", ["../../../../evil", "/absolute/evil", "A" * 64, "a" * 63, "", 7, None])
def test_a_checksum_that_is_no_sha256(hub: Hub, tmp_path: Path, oid: object) -> None:
    hub.lies["oid"] = oid
    with pytest.raises(NetworkError, match=r"gave the checksum .*, which can't be right"):
        convert(REPOSITORY, tmp_path / "out")
    assert not [name for name in written(tmp_path) if "evil" in name and "evil.py" not in name]


@pytest.mark.parametrize("path", ["../evil", "/evil", "a/../../evil", "a\\evil", "a\nevil"])
def test_a_file_name_that_leads_elsewhere(hub: Hub, tmp_path: Path, path: str) -> None:
    hub.lies["path"] = path
    with pytest.raises(NetworkError, match=r"gave the file name .*, which can't be right"):
        convert(REPOSITORY, tmp_path / "out")


@pytest.mark.parametrize("size", [-1, True, "9"])
def test_a_size_that_is_none(hub: Hub, tmp_path: Path, size: object) -> None:
    hub.lies["size"] = size
    with pytest.raises(NetworkError, match=r"gave the size .*, which can't be right"):
        convert(REPOSITORY, tmp_path / "out")


@pytest.mark.parametrize("commit", ["../../../evil", "/evil", "main", 7])
def test_a_commit_that_is_none(hub: Hub, tmp_path: Path, commit: object) -> None:
    hub.lies["commit"] = commit
    before = written(tmp_path)
    with pytest.raises(NetworkError, match=r"gave the commit .*, which can't be right"):
        convert(REPOSITORY, tmp_path / "out")
    assert written(tmp_path) == before


@pytest.mark.parametrize("etag", ["../../../../evil", "/evil", "..", "a\\b"])
def test_an_etag_that_leads_elsewhere(hub: Hub, tmp_path: Path, etag: str) -> None:
    hub.lies["etag"] = etag
    with pytest.raises(NetworkError, match=r"gave the ETag .*, which can't be right"):
        convert(REPOSITORY, tmp_path / "out")
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("page", [b"<html>Log in to the guest network</html>", b"[" * 100_000])
def test_a_page_in_place_of_an_answer(hub: Hub, tmp_path: Path, page: bytes) -> None:
    hub.page = page
    with pytest.raises(NetworkError, match="gave no JSON at /api/models/"):
        convert(REPOSITORY, tmp_path / "out")


def test_more_bytes_than_were_announced_are_not_written(hub: Hub, tmp_path: Path) -> None:
    hub.lies["more"] = 1000
    largest = max((hub.folder / file).stat().st_size for file in SHARDS)
    with pytest.raises(NetworkError, match=r"more than the \d+ bytes it announced"):
        convert(REPOSITORY, tmp_path / "out")
    source = tmp_path / ".out.partial" / "source"
    assert all(path.stat().st_size <= largest for path in source.glob("*"))


def test_the_two_kinds_of_checksum_have_their_lengths() -> None:
    assert Checksum.is_valid("sha256", "0123456789abcdef" * 4)
    assert Checksum.is_valid("git", "0123456789" * 4)
    assert not Checksum.is_valid("git", "0123456789abcdef" * 4)
    assert not Checksum.is_valid("sha256", "0123456789" * 4)
