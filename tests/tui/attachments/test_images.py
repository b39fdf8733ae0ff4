"""Attached images are copied at once; whatever is not an image is refused in one clear line."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from magistral_mlx.errors import ImageError
from magistral_mlx.storage.paths import images_directory
from magistral_mlx_tui.attachments.header import read_image_header
from magistral_mlx_tui.attachments.images import AttachedImage, keep_image


def save(path: Path, size: tuple[int, int] = (37, 21)) -> Path:
    Image.new("RGB", size, "red").save(path)
    return path


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".webp", ".bmp"])
def test_format_and_size_are_read_from_the_first_bytes(tmp_path: Path, suffix: str) -> None:
    header = read_image_header(save(tmp_path / f"x{suffix}").read_bytes())
    assert header is not None
    assert (header.suffix, header.size) == (suffix, (37, 21))


def test_lossless_and_extended_webp(tmp_path: Path) -> None:
    Image.new("RGBA", (300, 200), (1, 2, 3, 100)).save(tmp_path / "a.webp", lossless=True)
    Image.new("RGBA", (300, 200), (1, 2, 3, 100)).save(tmp_path / "b.webp")
    for name in ("a.webp", "b.webp"):
        header = read_image_header((tmp_path / name).read_bytes())
        assert header is not None
        assert header.size == (300, 200)


def test_a_truncated_header_tells_the_format_only(tmp_path: Path) -> None:
    for suffix in (".png", ".jpg", ".gif", ".webp", ".bmp"):
        data = save(tmp_path / f"x{suffix}").read_bytes()
        for length in range(12, 30):
            header = read_image_header(data[:length])
            assert header is None or header.suffix == suffix


def test_the_bytes_are_kept_when_the_file_vanishes(tmp_path: Path) -> None:
    source = save(tmp_path / "shot.png")
    data = source.read_bytes()
    image = keep_image(source)
    source.unlink()
    assert image.kept.read_bytes() == data
    assert image.label.startswith("shot.png  37×21  ")
    assert stat.S_IMODE(image.kept.stat().st_mode) == 0o600


def test_the_same_image_is_kept_once(tmp_path: Path) -> None:
    kept = {keep_image(save(tmp_path / name)).kept for name in ("a.png", "b.png", "a.png")}
    assert list(images_directory().iterdir()) == list(kept)
    assert len(kept) == 1


def test_a_damaged_copy_is_written_again(tmp_path: Path) -> None:
    source = save(tmp_path / "a.png")
    kept = keep_image(source).kept
    kept.write_bytes(b"half")
    assert keep_image(source).kept.read_bytes() == source.read_bytes()


def test_a_hostile_name_is_harmless(tmp_path: Path) -> None:
    image = keep_image(save(tmp_path / "a\x1b]0;x\x07\u202e.png"))
    assert image.name == "a␛]0;x␇�.png"


_NOT_IMAGES: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: None, "There is no file"),
    (lambda path: path.mkdir(), "is not a file|cannot be read"),
    (lambda path: path.write_bytes(b""), "is empty"),
    (lambda path: path.write_text("no image"), "is not an image"),
    (os.mkfifo, "is not a file"),
]


@pytest.mark.parametrize(("make", "problem"), _NOT_IMAGES)
def test_what_is_not_an_image_is_refused(
    tmp_path: Path, make: Callable[[Path], object], problem: str
) -> None:
    path = tmp_path / "x.png"
    make(path)
    with pytest.raises(ImageError, match=problem) as caught:
        keep_image(path)
    assert caught.value.remedy


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    with path.open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(ImageError, match=r"x\.png has 2\.1 GB; the limit is"):
        keep_image(path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("MAGISTRAL_MLX_HOME", str(blocked))
    with pytest.raises(ImageError, match=r"cannot be copied to .*MAGISTRAL_MLX_HOME"):
        keep_image(save(tmp_path / "a.png"))


def test_labels() -> None:
    assert AttachedImage("a.heic", Path("k"), "HEIC", None, 2000).label == "a.heic  HEIC  2.0 kB"
