"""How large a picture is to the model, for faces: they know its pixels from the file's first bytes."""

from magistral_mlx.prompt.images import ImageGeometry, image_grid


def seen_size(width: int, height: int, geometry: ImageGeometry) -> tuple[int, int, int]:
    """Width and height in pixels as the vision tower gets them, and the positions of the prompt.

    A row of image tokens is followed by one [IMG_BREAK], the last by [IMG_END].
    """
    rows, columns = image_grid(width, height, geometry)
    return columns * geometry.token_edge, rows * geometry.token_edge, rows * (columns + 1)
