"""Any image that people hand over, upright and in a form that mistral-common's encoder takes.

mistral-common composites transparency on white and converts ordinary modes itself. What it gets wrong is
done here first: EXIF orientation (it ignores it), images of more than 8 bits (it saturates them to white
or black), a transparent colour in RGB (it ignores it), and the limits that a careful reader needs.
"""

import os
import stat
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, TypeAlias, Union

from magistral_mlx.errors import ImageError, MagistralError
from magistral_mlx.prompt.urls import decode_data_url, fetch_image, file_url_path, scheme_of, shown_url
from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.storage.paths import typed_path
from magistral_mlx.storage.units import format_disk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

ImageSource: TypeAlias = Union[str, "os.PathLike[str]", bytes, "Image.Image"]
"""A path, an http(s), file or data URL, the bytes of an image file, or a PIL image."""

MAX_PIXELS = 89_478_485
"""Pillow's own bound against decompression bombs. Encoding takes 18 bytes per pixel for a moment, so this
is 1.6 GB beside the model; an image of 100,000 x 10 pixels is fine, one of 10,000 x 10,000 not. Previews have
the same limit. Images of more than 8 bits are rescaled tile by tile, within the same memory."""

_TILE = 1024
"""Pixels of the side of a tile that is rescaled at once."""

MAX_FILE_BYTES = 256 * 1024 * 1024
"""Bytes of the largest accepted image file."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO", "ICNS", "AVIF", "JPEG2000", "QOI")
"""Formats that Pillow may decode: pixel formats with a signature. EPS would start Ghostscript."""

_READABLE_MODES = frozenset(
    {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV"}
)
_ORIENTATION_TAG = 0x0112
_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"BM")


def load_image(source: ImageSource) -> "Image.Image":
    """Read one image: the first frame, upright, 8 bits per channel, transparency kept.

    16-bit greyscale is scaled by its full range (65535 is white). 32-bit integers and floats have no agreed
    white: floats in 0..1 count as fractions, values up to 255 stay, values up to 65535 scale as 16 bits, and
    anything else is stretched from its smallest to its largest value. A PIL image that needs none of this is
    returned as it is.

    Args:
        source: a path (`~` is expanded), an http(s) URL (fetched now), a file: or data: URL, the bytes of a
            image file, or a PIL image.

    Raises:
        ImageError: it is not there, not readable, not an image, damaged or beyond the limits.
        NetworkError: its URL does not answer.
    """
    from PIL import Image

    if isinstance(source, Image.Image):
        return _decoded(source, "The image")
    if isinstance(source, bytes):
        return _opened(source, "The image")
    try:
        text = os.fspath(source)
    except TypeError as error:
        kind = type(source).__name__
        raise ImageError(
            f"An image was given as {kind}", "Give a path, an http(s) URL, bytes or a PIL image."
        ) from error
    match scheme_of(text) if isinstance(source, str) else None:
        case "http" | "https":
            return _opened(fetch_image(text, limit=MAX_FILE_BYTES), f"The image at {shown_url(text)}")
        case "data":
            return _opened(decode_data_url(text, limit=MAX_FILE_BYTES), "The image in the data URL")
        case "file":
            return _opened(_read_file(file_url_path(text)), f"The image {shown_path(text)}")
        case None:
            return _opened(_read_file(text), f"The image {shown_path(text)}")
        case other:
            raise ImageError(
                f"Images are not fetched by {other}: ({shown_url(text)})",
                "Give a path, an http(s) URL, or the image's bytes.",
            )


def load_preview(path: str | os.PathLike[str], *, edge: int) -> "Image.Image":
    """Read an image file as RGB on white, upright, at most `edge` pixels wide and high.

    The same decoder and limits as `load_image`. A JPEG is decoded small at once.

    Raises:
        ImageError: as `load_image`.
    """
    from PIL import Image

    name = f"The image {shown_path(os.fspath(path))}"
    image = _open(_read_file(os.fspath(path)), name)
    _check_pixels(image, name)
    with _reading(name):
        image.draft("RGB", (edge, edge))
    decoded = _decoded(image, name)
    with _reading(name):
        # "LA" and "P" shrink well only as "RGBA"; converting the others would only take memory.
        small = decoded if decoded.mode in ("L", "RGB") else decoded.convert("RGBA")
        small.thumbnail((edge, edge))
        if small.mode != "RGBA":
            return small.convert("RGB")
        return Image.alpha_composite(Image.new("RGBA", small.size, "white"), small).convert("RGB")


def shown_path(path: str) -> str:
    """Return a path for a message: sanitised, and shortened to its end."""
    line = sanitize_line(path)
    return f'"{line}"' if len(line) <= 120 else f'"…{line[-119:]}"'


def _read_file(path: str) -> bytes:
    name = shown_path(path)
    if not path:
        raise ImageError("The path of an image is empty", "Give the path of an image.")
    try:
        file = typed_path(path)
        kind = file.stat()
        if stat.S_ISDIR(kind.st_mode):
            raise ImageError(f"{name} is a folder", "Give the path of one image in it.")
        if not stat.S_ISREG(kind.st_mode):
            raise ImageError(
                f"{name} is not an ordinary file", "Copy the image into a file and give its path."
            )
        if kind.st_size > MAX_FILE_BYTES:
            raise ImageError(
                f"{name} has {format_disk(kind.st_size)}; the limit is {format_disk(MAX_FILE_BYTES)}",
                "Save it smaller, for example as JPEG.",
            )
        return file.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(f"There is no image {name}", "Check the path.") from error
    except PermissionError as error:
        raise ImageError(f"{name} may not be read", "Change its permissions or copy it elsewhere.") from error
    # ValueError: a NUL byte in the path; RuntimeError: "~name" of a user that does not exist.
    except (OSError, ValueError, RuntimeError) as error:
        raise ImageError(f"{name} cannot be read ({_reason(error)})", "Check the path.") from error


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return sanitize_line(text)[:120] or type(error).__name__


def _opened(content: bytes, name: str) -> "Image.Image":
    return _decoded(_open(content, name), name)


def _open(content: bytes, name: str) -> "Image.Image":
    from PIL import Image, UnidentifiedImageError

    if not content:
        raise ImageError(f"{name} is empty (0 bytes)", "Save or download it again.")
    if len(content) > MAX_FILE_BYTES:
        raise ImageError(
            f"{name} is larger than {format_disk(MAX_FILE_BYTES)}", "Save it smaller, for example as JPEG."
        )
    with _reading(name):
        try:
            return Image.open(BytesIO(content), formats=FORMATS)
        except UnidentifiedImageError as error:
            raise _not_an_image(content, name) from error


@contextmanager
def _reading(name: str) -> Generator[None, None, None]:
    """Turn whatever Pillow raises on outside bytes into one ImageError, and hide its comments."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Pillow comments on harmless oddities of files by warnings.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except MagistralError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _too_many_pixels(name) from error
    except MemoryError as error:
        raise ImageError(
            f"{name} needs more memory than there is", "Make it smaller and try again."
        ) from error
    except Exception as error:
        raise _damaged(name, _reason(error)) from error


def _damaged(name: str, reason: str) -> ImageError:
    return ImageError(f"{name} is damaged or cut off ({reason})", "Save or download it again.")


def _not_an_image(content: bytes, name: str) -> ImageError:
    head = content[:64]
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1"):
        return ImageError(
            f"{name} is a HEIC photo, which cannot be read here",
            "Convert it to JPEG: sips -s format jpeg photo.heic --out photo.jpg",
        )
    if head.startswith(b"%PDF"):
        return ImageError(f"{name} is a PDF", "Save the page as a PNG image.")
    if b"<svg" in content[:1024]:
        return ImageError(f"{name} is an SVG drawing", "Save it as a PNG image.")
    if head.startswith(_SIGNATURES):
        return _damaged(name, "its header is broken")
    return ImageError(
        f"{name} is not an image, or of an unknown format",
        "Use a PNG, JPEG, WebP, GIF, TIFF or BMP image.",
    )


def _too_many_pixels(name: str, size: tuple[int, int] | None = None) -> ImageError:
    measure = f"{name} is {size[0]} x {size[1]} pixels" if size else f"{name} is larger than can be read"
    return ImageError(
        f"{measure}; at most {MAX_PIXELS // 1_000_000} megapixels are read", "Make it smaller and try again."
    )


def _check_pixels(image: "Image.Image", name: str) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"{name} is {width} x {height} pixels", "Use an image with at least one pixel.")
    if width * height > MAX_PIXELS:
        raise _too_many_pixels(name, image.size)


def _decoded(image: "Image.Image", name: str) -> "Image.Image":
    _check_pixels(image, name)
    with _reading(name):
        image.load()
        return _eight_bit(_upright(image), name)


def _upright(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    try:
        turn = turns.get(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001 - as in `_reading`
        # Broken EXIF beside a whole image: shown as it is stored, as other readers do.
        turn = None
    if turn is None:
        return image
    upright = image.transpose(turn)
    # The tag travels along in `info`; left there, a second reading would turn the image again.
    upright.info = {key: value for key, value in upright.info.items() if key == "transparency"}
    return upright


def _eight_bit(image: "Image.Image", name: str) -> "Image.Image":
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_rescaled(image))
    if image.mode == "La":
        return image.convert("LA")
    if image.mode == "RGB" and "transparency" in image.info:
        return image.convert("RGBA")
    if image.mode not in _READABLE_MODES:
        raise ImageError(f"{name} is in the colour space {image.mode}", "Save it as RGB.")
    return image


def _rescaled(image: "Image.Image") -> "NDArray[np.uint8]":
    import numpy as np

    offset, scale = _scaling(image)
    result = np.empty((image.height, image.width), np.uint8)
    for left, top, values in _tiles(image):
        # In double precision: the distance of two float32 may not be a float32.
        scaled = np.rint((values.astype(np.float64) - offset) * scale).clip(0, 255)
        result[top : top + values.shape[0], left : left + values.shape[1]] = scaled
    return result


def _scaling(image: "Image.Image") -> tuple[float, float]:
    """Return what is subtracted from each value, and what it is then multiplied by."""
    if image.mode.startswith("I;16"):
        return 0.0, 1 / 257
    extremes = [(float(values.min()), float(values.max())) for _, _, values in _tiles(image)]
    low, high = min(low for low, _ in extremes), max(high for _, high in extremes)
    if low < 0 or high > 65535:
        return low, 255 / max(high - low, 1e-300)
    if image.mode == "F" and high <= 1:
        return 0.0, 255.0
    return 0.0, 1 / 257 if high > 255 else 1.0


def _tiles(image: "Image.Image") -> "Iterator[tuple[int, int, NDArray[np.float32]]]":
    """Give the left and top of each tile, and its values; those that are no number are 0."""
    import numpy as np

    for top in range(0, image.height, _TILE):
        for left in range(0, image.width, _TILE):
            box = (left, top, min(left + _TILE, image.width), min(top + _TILE, image.height))
            values = np.asarray(image.crop(box), dtype=np.float32)
            yield left, top, np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
