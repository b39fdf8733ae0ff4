"""Previews: small copies are made once, half blocks keep colours and shape, hostile files are refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from magistral_mlx.errors import ImageError
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
    with pytest.raises(ImageError, match="cannot be decoded"):
        small_copy(tmp_path / "x.png", tmp_path / "small")


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
