"""An image on the clipboard: the programs that are there are asked in order, each may fail."""

from pathlib import Path

import pytest

from magistral_mlx.errors import ImageError
from magistral_mlx_tui.attachments.clipboard import clipboard_image


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the whole path, on a system that is not a Mac."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("sys.platform", "linux")
    return folder


def test_the_first_program_that_has_an_image_counts(programs: Path, tmp_path: Path) -> None:
    program(programs, "wl-paste", "exit 1")
    program(programs, "xclip", "printf picture")
    assert clipboard_image(tmp_path / "pasted").read_bytes() == b"picture"


def test_no_image_and_no_program_are_told_apart(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        clipboard_image(tmp_path / "pasted")
    assert "Install wl-clipboard" in caught.value.remedy
    program(programs, "xclip", "exit 1")
    with pytest.raises(ImageError) as caught:
        clipboard_image(tmp_path / "pasted")
    assert caught.value.remedy == "Copy one, or attach it by its path."
    assert list((tmp_path / "pasted").iterdir()) == []


def test_a_mac_writes_into_the_file(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    file = 'printf %s "$2" | sed -n "s/.*POSIX file \\"\\(.*\\)\\"/\\1/p"'
    program(programs, "osascript", f'PATH=/usr/bin:/bin; printf apple > "$({file})"')
    assert clipboard_image(tmp_path / "pasted").read_bytes() == b"apple"
