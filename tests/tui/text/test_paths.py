"""A dropped, pasted or typed path finds its file in all the ways terminals write it."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.sanitize import sanitize_line
from magistral_mlx_tui.text.paths import dropped_files, find_file, shown_path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "My chart (1).png"
    path.write_bytes(b"x")
    return path


def ways_to_write(path: Path) -> list[str]:
    text = str(path)
    escaped = text.replace(" ", r"\ ").replace("(", r"\(").replace(")", r"\)")
    return [
        *(text, f"'{text}'", f'"{text}"', escaped, f"{text}\n", f"  {text}  "),
        *(path.as_uri(), f"file://localhost{path.as_uri().removeprefix('file://')}"),
    ]


def test_every_way_finds_the_file(image: Path) -> None:
    for written in ways_to_write(image):
        assert find_file(written) == image, written
        assert dropped_files(written) == [image], written


def test_the_narrow_space_in_the_names_of_screenshots(tmp_path: Path) -> None:
    shot = tmp_path / "Screenshot 2026-11-22 at 9.41.07\u202fAM.png"
    shot.write_bytes(b"x")
    assert find_file(str(shot)) == shot
    assert find_file(str(shot).replace("\u202f", " ")) == shot
    assert find_file(str(shot).replace("\u202f", " ").replace(" ", r"\ ")) == shot
    assert find_file(shot.as_uri()) == shot


def test_accents_are_found_in_either_form(tmp_path: Path) -> None:
    stored = tmp_path / unicodedata.normalize("NFD", "écran.png")
    stored.write_bytes(b"x")
    assert find_file(str(tmp_path / unicodedata.normalize("NFC", "écran.png"))) == stored


def test_odd_names_survive(tmp_path: Path) -> None:
    for name in ("it's.png", "100%.png", "a#b?.png", "back\\slash.png", '"quoted".png', "[bold].png"):
        path = tmp_path / name
        path.write_bytes(b"x")
        assert find_file(str(path)) == path, name
        assert find_file(path.as_uri()) == path, name


def test_several_files_at_once(tmp_path: Path) -> None:
    paths = [tmp_path / "one.png", tmp_path / "two words.png"]
    for path in paths:
        path.write_bytes(b"x")
    assert dropped_files(f"{paths[0]} '{paths[1]}'") == paths
    assert dropped_files("\n".join(str(path).replace(" ", r"\ ") for path in paths)) == paths
    assert dropped_files(f"{paths[0]} {tmp_path / 'missing.png'}") == []


def test_home_and_relative_paths(own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own_home / "pic.png").write_bytes(b"x")
    assert find_file("~/pic.png") == own_home / "pic.png"
    monkeypatch.chdir(own_home)
    assert find_file("pic.png") == Path("pic.png")
    assert dropped_files("pic.png") == []  # a single word that was pasted is text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "What is 1/2?",
        "/no/such/file.png",
        "/",
        "~",
        "'",
        '"',
        "file://",
        "/" + "a" * 5000,
        "/a\0b",
        "\\",
    ],
)
def test_text_stays_text(text: str) -> None:
    assert dropped_files(text) == []
    assert find_file(text) is None


@given(st.text(max_size=80))
def test_no_text_breaks_it(text: str) -> None:
    assert dropped_files("/nowhere/" + text) == []
    find_file(text)


def test_an_unknown_users_home_is_a_path_like_any_other() -> None:
    assert find_file("~nobody-of-this-name/a.png") is None


def test_a_path_is_shown_as_people_write_it() -> None:
    assert shown_path(Path.home() / "notes/a.md") == "~/notes/a.md"
    assert shown_path(Path("/elsewhere/a\n.md")) == sanitize_line("/elsewhere/a\n.md")
