"""Format and size of an image from its first bytes, without decoding."""

import struct
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ImageHeader:
    """Format and size in pixels; the size is None if only decoding would tell."""

    format: str
    suffix: str
    size: tuple[int, int] | None = None


def read_image_header(data: bytes) -> ImageHeader | None:
    """The header of a PNG, JPEG, GIF, WebP, BMP, TIFF, HEIC or AVIF file; None for anything else."""
    for starts, name, suffix, size in _FORMATS:
        if starts(data):
            try:
                return ImageHeader(name, suffix, size(data))
            except (struct.error, IndexError):
                return ImageHeader(name, suffix)
    return None


def _unknown(_data: bytes) -> None:
    return None


def _png_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def _gif_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack("<HH", data[6:10])
    return width, height


def _bmp_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack("<ii", data[18:26])
    return abs(width), abs(height)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Walk the segments up to the frame header (ITU T.81, B.2.2)."""
    position = 2
    while position + 9 < len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[position + 5 : position + 9])
            return width, height
        position += 2 + int(struct.unpack(">H", data[position + 2 : position + 4])[0])
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """The three layouts of the WebP container (RFC 9649)."""
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


def _prefix(*prefixes: bytes) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(prefixes)


def _brand(*brands: bytes) -> Callable[[bytes], bool]:
    return lambda data: data[4:8] == b"ftyp" and data[8:12] in brands


_FORMATS: tuple[tuple[Callable[[bytes], bool], str, str, Callable[[bytes], tuple[int, int] | None]], ...] = (
    (_prefix(b"\x89PNG\r\n\x1a\n"), "PNG", ".png", _png_size),
    (_prefix(b"\xff\xd8\xff"), "JPEG", ".jpg", _jpeg_size),
    (_prefix(b"GIF87a", b"GIF89a"), "GIF", ".gif", _gif_size),
    (lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", "WebP", ".webp", _webp_size),
    (_prefix(b"BM"), "BMP", ".bmp", _bmp_size),
    (_prefix(b"II*\x00", b"MM\x00*"), "TIFF", ".tiff", _unknown),
    (_brand(b"heic", b"heix", b"mif1"), "HEIC", ".heic", _unknown),
    (_brand(b"avif"), "AVIF", ".avif", _unknown),
)
