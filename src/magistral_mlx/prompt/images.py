"""Images as the model sees them: the geometry of its image tokens and the arrays that fill them.

The reference for grid and pixels is mistral-common's image encoder: cubic resize without antialiasing to
whole merged patches, alpha on white, CLIP's mean and deviation. This module holds what needs no tokenizer;
`prompt.tokenizer` runs that encoder, driven by the `ImageGeometry` from config.json.
"""

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from magistral_mlx.errors import ImageError
from magistral_mlx.prompt.image_files import ImageSource, load_image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


__all__ = ["ImageGeometry", "ImageSource", "PreparedImage", "image_grid", "load_image"]


@dataclass(frozen=True)
class ImageGeometry:
    """How images become tokens, from config.json: never a library's default.

    `patch_size` is vision_config.patch_size (14), `spatial_merge_size` the patches merged into one token
    in each direction (2), `longest_edge` vision_config.image_size (1540): larger images are shrunk to it.
    """

    patch_size: int
    spatial_merge_size: int
    longest_edge: int

    @property
    def token_edge(self) -> int:
        """Pixels in each direction that one image token covers (28)."""
        return self.patch_size * self.spatial_merge_size


def image_grid(width: int, height: int, geometry: ImageGeometry) -> tuple[int, int]:
    """Rows and columns of image tokens for an image of `width` by `height` pixels.

    Equal to mistral-common for every size, its rounding (half to even) and its minimum of one pixel
    included. Between the tokens stand one [IMG_BREAK] per row but the last and one [IMG_END], so an
    image takes rows * (columns + 1) positions of the prompt.

    Raises:
        ImageError: a side is not positive.
    """
    if width < 1 or height < 1:
        raise ImageError(f"The image is {width} x {height} pixels", "Use an image with at least one pixel.")
    ratio = max(height / geometry.longest_edge, width / geometry.longest_edge)
    if ratio > 1:
        width, height = max(round(width / ratio), 1), max(round(height / ratio), 1)
    return (height - 1) // geometry.token_edge + 1, (width - 1) // geometry.token_edge + 1


@dataclass(frozen=True)
class PreparedImage:
    """One image, ready for the vision tower. Two are equal when their digests are."""

    pixels: "NDArray[np.float32]" = field(compare=False, repr=False)
    """[3, height, width]: resized and normalised; both sides are multiples of the token edge."""
    rows: int
    columns: int
    digest: str
    """SHA-256 (hex) over shape and pixels: the name of its features in a cache."""

    @classmethod
    def from_pixels(cls, pixels: "NDArray[np.float32]", geometry: ImageGeometry) -> "PreparedImage":
        """Wrap an encoded image [3, height, width]; its sides are multiples of the token edge."""
        _, height, width = pixels.shape
        seal = hashlib.sha256(repr((pixels.dtype.str, pixels.shape)).encode())
        seal.update(pixels.data)
        return cls(
            pixels=pixels,
            rows=height // geometry.token_edge,
            columns=width // geometry.token_edge,
            digest=seal.hexdigest(),
        )

    @property
    def token_count(self) -> int:
        """[IMG] positions that this image's features fill."""
        return self.rows * self.columns


def seen_size(width: int, height: int, geometry: ImageGeometry) -> tuple[int, int, int]:
    """Width and height in pixels as the vision tower gets them, and the positions of the prompt.

    A row of image tokens is followed by one [IMG_BREAK], the last by [IMG_END].
    """
    rows, columns = image_grid(width, height, geometry)
    return columns * geometry.token_edge, rows * geometry.token_edge, rows * (columns + 1)
