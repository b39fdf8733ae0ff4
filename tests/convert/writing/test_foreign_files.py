"""A conversion leaves alone everything that lies where it wants to work and that it did not make."""

import os
from pathlib import Path

import pytest

from magistral_mlx.errors import ConversionError
from magistral_mlx_convert import convert
from magistral_mlx_convert.writing.staging import MARK_FILE, open_workplace
from support.random_checkpoint import write_source


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """Somebody's folder with a file."""
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "letter").write_text("mine")
    return folder


@pytest.mark.parametrize("place", [".out.partial", ".out.partial/model", ".out.partial/source"])
@pytest.mark.parametrize("resume", [True, False])
def test_a_link_in_place_of_a_folder_is_refused_and_not_followed(
    tmp_path: Path, precious: Path, place: str, resume: bool
) -> None:
    link = tmp_path / place
    if link.parent != tmp_path:
        with open_workplace(tmp_path / "out") as workplace:
            workplace.begin()
            link.symlink_to(precious)
    else:
        link.symlink_to(precious)
    with pytest.raises(ConversionError, match=r"\.out\.partial is in the way") as caught:
        convert(write_source(tmp_path / "hf"), tmp_path / "out", resume=resume)
    assert "Move it away" in caught.value.remedy
    assert (precious / "letter").read_text() == "mine"
    assert link.is_symlink()


@pytest.mark.parametrize("resume", [True, False])
def test_a_foreign_folder_is_refused_and_kept(tmp_path: Path, precious: Path, resume: bool) -> None:
    foreign = precious.rename(tmp_path / ".out.partial")
    with pytest.raises(ConversionError, match=r"\.out\.partial is in the way"):
        convert(write_source(tmp_path / "hf"), tmp_path / "out", resume=resume)
    assert [path.name for path in foreign.iterdir()] == ["letter"]


@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_what_is_no_folder_is_refused(tmp_path: Path, kind: str) -> None:
    place = tmp_path / ".out.partial"
    if kind == "file":
        place.write_text("mine")
    else:
        place.symlink_to("nowhere")
    with pytest.raises(ConversionError, match=r"\.out\.partial is in the way"):
        convert(write_source(tmp_path / "hf"), tmp_path / "out")
    assert os.path.lexists(place)


def test_a_lock_that_is_a_link_makes_nothing_at_its_target(tmp_path: Path) -> None:
    (tmp_path / ".out.lock").symlink_to(tmp_path / "made")
    with pytest.raises(ConversionError, match=r"\.out\.lock is in the way"):
        convert(write_source(tmp_path / "hf"), tmp_path / "out")
    assert not (tmp_path / "made").exists()


def test_a_lock_with_somebody_elses_words_is_kept(tmp_path: Path) -> None:
    (tmp_path / ".out.lock").write_text("mine")
    with pytest.raises(ConversionError, match=r"\.out\.lock is in the way"):
        convert(write_source(tmp_path / "hf"), tmp_path / "out")
    assert (tmp_path / ".out.lock").read_text() == "mine"


def test_a_lock_that_is_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".out.lock")
    with pytest.raises(ConversionError, match=r"\.out\.lock is in the way"):
        convert(write_source(tmp_path / "hf"), tmp_path / "out")


@pytest.mark.parametrize("mark", [None, b"", b"An unfinished"])
def test_a_run_that_was_killed_at_its_mark_is_no_obstacle(tmp_path: Path, mark: bytes | None) -> None:
    partial = tmp_path / ".out.partial"
    partial.mkdir()
    if mark is not None:
        (partial / MARK_FILE).write_bytes(mark)
    convert(write_source(tmp_path / "hf"), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hf", "out"]


def test_a_link_inside_an_own_workplace_is_removed_not_followed(tmp_path: Path, precious: Path) -> None:
    with open_workplace(tmp_path / "out") as workplace:
        workplace.begin()
        (workplace.partial / "stray").symlink_to(precious)
        workplace.clear()
        assert sorted(path.name for path in workplace.partial.iterdir()) == [MARK_FILE, "model"]
    assert (precious / "letter").read_text() == "mine"
