"""Previews: small copies are made once, half blocks keep colours and shape, hostile files are refused."""

import contextlib
import random
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from magistral_mlx.errors import ImageError
from magistral_mlx.prompt import image_files
from magistral_mlx_tui.attachments.thumbnail import (
    LARGEST_EDGE,
    ImageMode,
    choose_mode,
    half_cells,
    small_copy,
)


def test_a_small_copy_is_made_once_on_white_and_upright(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    Image.new("RGBA", (2000, 1000), (0, 0, 0, 0)).save(source)
    small = small_copy(source, tmp_path / "small")
    with Image.open(small) as image:
        assert image.size == (LARGEST_EDGE, LARGEST_EDGE // 2)
        assert image.getpixel((5, 5)) == (255, 255, 255)
    source.write_bytes(b"gone")
    assert small_copy(source, tmp_path / "small") == small


def test_what_cannot_be_decoded_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(ImageError, match="damaged or cut off"):
        small_copy(tmp_path / "x.png", tmp_path / "small")


def test_an_exif_tag_of_the_wrong_type_does_not_matter(tmp_path: Path) -> None:
    # Little-endian TIFF with one entry: Orientation (0x0112) as ASCII (2) of two bytes, "x".
    entry = struct.pack("<HHI4s", 0x0112, 2, 2, b"x\0\0\0")
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)
    Image.new("RGB", (40, 20), "red").save(tmp_path / "a.jpg", exif=exif)
    with Image.open(small_copy(tmp_path / "a.jpg", tmp_path / "small")) as image:
        assert image.size == (40, 20)


def test_damaged_files_end_in_one_line_or_a_preview(tmp_path: Path) -> None:
    draw = random.Random(5)
    for kind in ("AVIF", "JPEG", "TIFF", "PNG"):
        Image.new("RGB", (40, 30), "red").save(tmp_path / "whole", kind)
        whole = (tmp_path / "whole").read_bytes()
        for number in range(40):
            flipped = bytearray(whole)
            for _ in range(draw.choice((1, 3, 12))):
                flipped[draw.randrange(len(flipped))] = draw.choice((0, 255, draw.randrange(256)))
            (file := tmp_path / f"{kind}-{number}").write_bytes(flipped)
            with contextlib.suppress(ImageError):
                assert small_copy(file, tmp_path / "small").exists()


def test_a_preview_has_the_limit_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "MAX_PIXELS", 799)
    for name in ("a.jpg", "a.png"):
        Image.new("RGB", (40, 20)).save(tmp_path / name)
        with pytest.raises(ImageError, match="40 x 20 pixels"):
            small_copy(tmp_path / name, tmp_path / "small")


def test_half_blocks_show_two_pixels_in_a_cell(tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 2), "red")
    image.putpixel((0, 1), (0, 0, 255))
    image.save(tmp_path / "x.png")
    cells = half_cells(tmp_path / "x.png", 2, 1)
    assert cells.plain == "▀▀"
    assert [str(span.style) for span in cells.spans] == [
        "rgb(255,0,0) on rgb(0,0,255)",
        "rgb(255,0,0) on rgb(255,0,0)",
    ]


@given(st.integers(1, 600), st.integers(1, 600), st.integers(1, 60), st.integers(1, 20))
def test_half_blocks_stay_in_their_place(
    tmp_path_factory: pytest.TempPathFactory, width: int, height: int, columns: int, rows: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "shape.png"
    Image.new("RGB", (width, height), "green").save(file)
    lines = half_cells(file, columns, rows).plain.split("\n")
    assert 1 <= len(lines) <= rows
    assert {len(line) for line in lines} <= set(range(1, columns + 1))


@pytest.mark.parametrize(
    ("environment", "mode"),
    [
        ({"TERM": "xterm-256color"}, ImageMode.HALF),
        ({"TERM": "xterm-kitty"}, ImageMode.KITTY),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux"}, ImageMode.HALF),
        ({"TERM_PROGRAM": "iTerm.app"}, ImageMode.SIXEL),
        ({"TERM_PROGRAM": "Apple_Terminal"}, ImageMode.HALF),
    ],
)
def test_the_terminal_decides(environment: dict[str, str], mode: ImageMode) -> None:
    assert choose_mode(ImageMode.AUTO, environment) is mode
    assert choose_mode(ImageMode.OFF, environment) is ImageMode.OFF
