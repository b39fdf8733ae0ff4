"""Attached images: copied into the app's own folder at once, in case the file vanishes."""

import hashlib
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from magistral_mlx.errors import ImageError
from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.sessions.unsent import Draft
from magistral_mlx.storage.paths import images_directory
from magistral_mlx.storage.units import format_disk
from magistral_mlx_tui.attachments.header import read_image_header

LARGEST_FILE = 100 * 2**20
"""Bytes; enough for any photograph. A file is read whole."""


@dataclass(frozen=True)
class AttachedImage:
    """An attached image."""

    name: str
    """The file's name, harmless for a screen."""
    kept: Path
    """Its copy, named by the SHA-256 of the bytes."""
    format: str
    size: tuple[int, int] | None
    bytes_count: int

    @property
    def label(self) -> str:
        """Name, size in pixels and bytes, for a row of the screen."""
        pixels = f"{self.size[0]}×{self.size[1]}" if self.size else self.format
        return f"{self.name}  {pixels}  {format_disk(self.bytes_count)}"


def keep_image(source: Path) -> AttachedImage:
    """Copy the image at `source` into the app's folder.

    Raises:
        ImageError: there is no such file, it is not an image, too large, or the copy cannot be written.
    """
    name = sanitize_line(source.name)
    data = _read(source, name)
    header = read_image_header(data)
    if header is None:
        raise ImageError(f"{name} is not an image", "Attach a PNG, JPEG, WebP, GIF, BMP, TIFF or HEIC file.")
    kept = images_directory() / (hashlib.sha256(data).hexdigest() + header.suffix)
    try:
        _write(kept, data)
    except OSError as error:
        raise ImageError(
            f"{name} cannot be copied to {sanitize_line(str(kept.parent))} ({error.strerror})",
            "Free some space there, or set MAGISTRAL_MLX_HOME to another folder.",
        ) from error
    return AttachedImage(name, kept, header.format, header.size, len(data))


def images_of(draft: Draft) -> list[AttachedImage]:
    """The images of a draft; those without a copy of ours are left out."""
    found: list[AttachedImage] = []
    for number, path in enumerate(map(Path, draft.images)):
        if path.parent == images_directory():
            with suppress(ImageError):
                found.append(keep_image(path))
                if name := sanitize_line("".join(draft.names[number : number + 1])):
                    found[-1] = replace(found[-1], name=name)
    return found


def _read(source: Path, name: str) -> bytes:
    try:
        # Without waiting: a pipe must not hang the app; it opens at once and is then refused.
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK)
        try:
            _check(os.fstat(descriptor), name)
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(LARGEST_FILE + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise ImageError(f"There is no file {sanitize_line(str(source))}", "Check the path.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is not valid"
        raise ImageError(
            f"{name} cannot be read ({reason})", "Check the path and its permissions."
        ) from error
    if not data:
        raise ImageError(f"{name} is empty", "Attach an image file.")
    return data


def _check(status: os.stat_result, name: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(f"{name} is not a file", "Attach an image file.")
    if status.st_size > LARGEST_FILE:
        sizes = f"{format_disk(status.st_size)}; the limit is {format_disk(LARGEST_FILE)}"
        raise ImageError(f"{name} has {sizes}", "Save a smaller version.")


def _write(kept: Path, data: bytes) -> None:
    """Write `data` to `kept` atomically, readable by this user only."""
    if kept.exists() and kept.stat().st_size == len(data):
        os.utime(kept)  # the age decides when it is deleted
        return
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = kept.with_name(f"{kept.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
        part.chmod(0o600)
        part.replace(kept)
    finally:
        part.unlink(missing_ok=True)
