"""Every kind of image that people hand over, and every way in which it can be wrong."""

import base64
import io
import os
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops

from magistral_mlx.errors import ImageError
from magistral_mlx.prompt import image_files
from magistral_mlx.prompt.image_files import FORMATS, ImageSource, load_image

RED, BLUE = (220, 20, 20), (20, 20, 220)


def two_halves(size: tuple[int, int] = (20, 10)) -> Image.Image:
    """Left red, right blue: its orientation shows."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    return image


def stored(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def same(first: Image.Image, second: Image.Image) -> bool:
    return (
        first.size == second.size
        and not ImageChops.difference(first.convert("RGB"), second.convert("RGB")).getbbox()
    )


@pytest.mark.parametrize("kind", ["path", "text", "home", "file-url", "bytes", "data-url", "image"])
def test_every_kind_of_source_gives_the_same_image(own_home: Path, kind: str) -> None:
    image = two_halves()
    path = own_home / "a b ü.png"
    path.write_bytes(stored(image))
    source: ImageSource = {
        "path": path,
        "text": str(path),
        "home": "~/a b ü.png",
        "file-url": path.as_uri(),
        "bytes": path.read_bytes(),
        "data-url": f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}",
        "image": image,
    }[kind]
    assert same(load_image(source), image)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_listed_format_can_be_read(kind: str) -> None:
    loaded = load_image(stored(two_halves((64, 32)), kind))
    assert loaded.size == ((64, 32) if kind not in ("ICO", "ICNS") else loaded.size)
    assert loaded.mode in {"RGB", "RGBA", "P"}


def test_nothing_else_is_decoded() -> None:
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    with pytest.raises(ImageError, match="not an image"):
        load_image(postscript)


UPRIGHT = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera would have stored an upright image under each EXIF orientation."""


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied_once(orientation: int, kind: str) -> None:
    upright = Image.fromarray(np.random.default_rng(1).integers(0, 256, (8, 12, 3), np.uint8))
    turn = UPRIGHT[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    data = stored(upright.transpose(turn) if turn is not None else upright, kind, exif=exif, **options)
    once = load_image(data)
    assert same(once, upright)
    assert same(load_image(once), upright)


def test_broken_exif_beside_a_whole_image_is_ignored() -> None:
    image = two_halves()
    assert same(load_image(stored(image, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")), image)
    assert same(load_image(stored(image, exif=b"Exif\0\0nonsense")), image)


def ramp(high: float, dtype: str) -> "np.ndarray[tuple[int, ...], np.dtype[np.generic]]":
    return np.linspace(0, high, 256).reshape(16, 16).astype(dtype)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("16 bits", ramp(65535, "uint16")),
        ("32-bit integers in the range of 16", ramp(65535, "int32")),
        ("32-bit integers in the range of 8", ramp(255, "int32")),
        ("32-bit integers beyond", ramp(2**31 - 1, "int32")),
        ("fractions", ramp(1, "float32")),
        ("floats in the range of 8 bits", ramp(255, "float32")),
        ("floats in the range of 16 bits", ramp(65535, "float32")),
        ("floats beyond", ramp(3e38, "float32") - np.float32(1e38)),
    ],
)
def test_images_of_more_than_eight_bits_keep_their_greys(
    name: str, values: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]"
) -> None:
    loaded = load_image(Image.fromarray(values))
    assert loaded.mode == "L"
    expected = np.arange(256).reshape(16, 16)
    assert np.abs(np.asarray(loaded, int) - expected).max() <= 1, name


def test_greys_are_the_same_across_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(4).normal(0, 9, (23, 31)).astype(np.float32)
    whole = np.asarray(load_image(Image.fromarray(values)))
    monkeypatch.setattr(image_files, "_TILE", 7)
    assert np.array_equal(np.asarray(load_image(Image.fromarray(values))), whole)
    assert whole.min() == 0
    assert whole.max() == 255


_WITHIN = """
import resource, sys
from magistral_mlx.prompt.image_files import load_image
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert load_image(sys.argv[1]).size == (5000, 4000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_sixteen_bits_take_no_more_memory_than_eight_bits_of_three_channels(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.fromarray(np.zeros((4000, 5000), np.uint16)).save(path)
    run = subprocess.run(
        [sys.executable, "-c", _WITHIN, str(path)], capture_output=True, text=True, check=True
    )
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(run.stdout) * unit < 18 * 5000 * 4000


def test_a_dark_sixteen_bit_image_stays_dark() -> None:
    assert np.asarray(load_image(stored(Image.fromarray(np.full((4, 4), 257 * 9, np.uint16))))).max() == 9


def test_floats_that_are_no_numbers_are_black() -> None:
    values = np.full((3, 3), 0.5, np.float32)
    values[0] = np.nan, np.inf, -np.inf
    assert np.asarray(load_image(Image.fromarray(values)))[0].tolist() == [0, 0, 0]


def test_a_flat_image_beyond_every_range_does_not_divide_by_zero() -> None:
    assert load_image(Image.new("I", (2, 2), -5)).getpixel((0, 0)) == 0


def test_a_transparent_colour_of_an_rgb_image_becomes_alpha() -> None:
    data = stored(two_halves(), transparency=RED)
    loaded = load_image(data)
    assert loaded.mode == "RGBA"
    assert loaded.getpixel((0, 0))[3] == 0
    assert loaded.getpixel((19, 0)) == (*BLUE, 255)


def test_a_palette_with_alpha_keeps_it() -> None:
    image = two_halves().quantize(4)
    loaded = load_image(stored(image, transparency=image.getpixel((0, 0))))
    assert loaded.convert("RGBA").getpixel((0, 0))[3] == 0


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_read(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    loaded = load_image(stored(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    assert loaded.convert("RGB").getpixel((4, 4)) == RED


def test_cmyk_is_read() -> None:
    loaded = load_image(stored(Image.new("CMYK", (9, 9), (0, 255, 255, 0)), "JPEG"))
    red, green, blue = loaded.convert("RGB").getpixel((4, 4))
    assert red > 200 > 60 > max(green, blue)


def test_an_image_that_needs_nothing_is_not_copied() -> None:
    image = two_halves()
    assert load_image(image) is image


def header_only_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "size", [(100_000, 100_000), (10_000, 10_000), (2**31 - 1, 2**31 - 1), (100_000, 1_000)]
)
def test_too_many_pixels_are_refused_before_decoding(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="at most 89 megapixels"):
        load_image(header_only_png(*size))


def test_a_pil_image_of_too_many_pixels_is_refused_with_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "MAX_PIXELS", 199)
    with pytest.raises(ImageError, match="20 x 10 pixels"):
        load_image(two_halves())


def test_a_very_wide_strip_is_read() -> None:
    assert load_image(stored(Image.new("RGB", (100_000, 10)))).size == (100_000, 10)


def one_line(error: ImageError) -> str:
    text = str(error)
    assert "\n" not in text
    assert "\x1b" not in text
    assert error.remedy
    return text


def refusal(source: ImageSource) -> str:
    with pytest.raises(ImageError) as caught:
        load_image(source)
    return one_line(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    assert "There is no image" in refusal(tmp_path / "none.png")
    assert 'none.png"' in refusal(str(tmp_path / "none.png"))


def test_a_folder(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)


def test_an_empty_path() -> None:
    assert "path of an image is empty" in refusal("")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    assert 'empty.png" is empty (0 bytes)' in refusal(tmp_path / "empty.png")
    assert "empty (0 bytes)" in refusal(b"")


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "not an ordinary file" in refusal(tmp_path / "pipe.png")
    assert "not an ordinary file" in refusal("/dev/zero")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    (tmp_path / "secret.png").write_bytes(stored(two_halves()))
    monkeypatch.setattr(Path, "read_bytes", forbidden)
    assert 'secret.png" may not be read' in refusal(tmp_path / "secret.png")


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "MAX_FILE_BYTES", 1024 * 1024)
    with (tmp_path / "big.png").open("wb") as file:
        file.truncate(3 * 1024 * 1024)
    assert "has 3.1 MB; the limit is 1.0 MB" in refusal(tmp_path / "big.png")
    assert "larger than 1.0 MB" in refusal(bytes(3 * 1024 * 1024))


@pytest.mark.parametrize(
    "path", ["a\x00b.png", "~nobody-of-this-name/a.png", "x" * 5000, "a\x1b[2Jb\n.png", "\ud800"]
)
def test_impossible_paths(path: str) -> None:
    assert len(refusal(path)) < 300


@pytest.mark.parametrize("source", [None, 3, object(), ["a.png"]])
def test_something_else_is_named(source: object) -> None:
    assert f"given as {type(source).__name__}" in refusal(source)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"just some words", "is not an image"),
        (b"<html><body>404</body></html>", "is not an image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "sips -s format jpeg"),
        (b"%PDF-1.7\n%", "is a PDF"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "is an SVG drawing"),
        (b"\x89PNG\r\n\x1a\n", "damaged or cut off"),
        (b"\xff\xd8\xff\xe0", "damaged or cut off"),
    ],
)
def test_what_is_no_image_is_recognised(content: bytes, words: str) -> None:
    assert words in refusal(content)


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_files_end_in_one_line_or_an_image(kind: str) -> None:
    draw = random.Random(kind)
    whole = stored(two_halves((40, 30)), kind)
    cut = whole[: len(whole) * 2 // 3]
    flipped = bytearray(whole)
    for content in [cut, *(bytes(flipped) for _ in range(40))]:
        try:
            assert load_image(content).size
        except ImageError as error:
            one_line(error)
        flipped = bytearray(whole)
        for _ in range(draw.choice((1, 3, 12))):
            flipped[draw.randrange(len(flipped))] = draw.choice((0, 255, draw.randrange(256)))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_truncated_image_is_refused_not_half_read(kind: str) -> None:
    image = Image.fromarray(np.random.default_rng(3).integers(0, 256, (60, 60, 3), np.uint8))
    whole = stored(image, kind)
    assert "damaged or cut off" in refusal(whole[: len(whole) // 2])


def test_a_colour_space_that_cannot_be_converted_is_named() -> None:
    assert "colour space LAB" in refusal(Image.new("LAB", (3, 3)))


def test_an_image_whose_file_was_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(stored(two_halves()))
    with Image.open(path) as image:
        pass
    assert "damaged or cut off" in refusal(image)
