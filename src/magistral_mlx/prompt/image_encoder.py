"""mistral-common's image encoder behind our loader, with config.json's geometry.

Encoding a photo takes a few tenths of a second (it is resized in float32), and every turn of a conversation
encodes the images of all earlier ones again; so the last few results are remembered by content.
"""

import hashlib
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from mistral_common.protocol.instruct.chunk import ImageChunk, ImageURLChunk
from mistral_common.tokens.tokenizers.image import ImageConfig, ImageEncoder, ImageEncoding, SpecialImageIDs
from mistral_common.tokens.tokenizers.tekken import Tekkenizer

from magistral_mlx.errors import ImageError
from magistral_mlx.prompt.image_files import load_image
from magistral_mlx.prompt.images import ImageGeometry, PreparedImage
from magistral_mlx.prompt.urls import scheme_of, shown_url

if TYPE_CHECKING:
    from PIL.Image import Image

REMEMBERED = 8
"""Encoded images that are kept, of at most 28 MB each at 1540 x 1540 pixels."""


class CachedImageEncoder:
    """Encode the images of one checkpoint's prompts; without a geometry, refuse them all."""

    def __init__(self, tekken: Tekkenizer, geometry: ImageGeometry | None) -> None:
        self._geometry = geometry
        self._reference = None if geometry is None else _reference(tekken, geometry)
        self._remembered: OrderedDict[tuple[object, ...], tuple[ImageEncoding, PreparedImage]] = OrderedDict()
        self._lock = Lock()

    def encode(self, image: "Image") -> tuple[ImageEncoding, PreparedImage]:
        """One loaded image as mistral-common's tokens and pixels, and as ours.

        Raises:
            ImageError: the checkpoint cannot see.
        """
        if self._geometry is None or self._reference is None:
            raise ImageError(
                "This model cannot see: its folder has no vision weights",
                "Ask without images, or convert the model again from a source with its vision tower.",
            )
        name = _content_name(image)
        with self._lock:
            if name in self._remembered:
                self._remembered.move_to_end(name)
                return self._remembered[name]
        encoding = self._reference(ImageChunk(image=image))
        prepared = PreparedImage.from_pixels(np.ascontiguousarray(encoding.image), self._geometry)
        with self._lock:
            self._remembered[name] = encoding, prepared
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        return encoding, prepared


class ImageRecorder(ImageEncoder):
    """Encode each image of one prompt for mistral-common's pipeline; `prepared` has them in order."""

    def __init__(self, encoder: CachedImageEncoder) -> None:
        # No super().__init__: `encoder` has geometry and ids.
        self._encoder = encoder
        self.prepared: list[PreparedImage] = []

    def __call__(self, content: ImageChunk | ImageURLChunk) -> ImageEncoding:
        encoding, prepared = self._encoder.encode(_loaded(content))
        self.prepared.append(prepared)
        return encoding


def _loaded(content: ImageChunk | ImageURLChunk) -> "Image":
    if isinstance(content, ImageChunk):
        return load_image(content.image)
    url = content.get_url()
    if scheme_of(url) is None:
        raise ImageError(
            f"The image_url {shown_url(url)} is no URL", "Give an http(s), data: or file: URL of the image."
        )
    return load_image(url)


def _reference(tekken: Tekkenizer, geometry: ImageGeometry) -> ImageEncoder:
    return ImageEncoder(
        ImageConfig(
            image_patch_size=geometry.patch_size,
            max_image_size=geometry.longest_edge,
            spatial_merge_size=geometry.spatial_merge_size,
        ),
        SpecialImageIDs(
            img=tekken.get_special_token("[IMG]"),
            img_break=tekken.get_special_token("[IMG_BREAK]"),
            img_end=tekken.get_special_token("[IMG_END]"),
        ),
    )


def _content_name(image: "Image") -> tuple[object, ...]:
    """Equal for two images only if they encode to the same pixels."""
    palette = image.getpalette("RGBA") if image.mode in ("P", "PA") else None
    return (
        image.mode,
        image.size,
        hashlib.sha256(image.tobytes()).digest(),
        repr((palette, image.info.get("transparency"))),
    )
