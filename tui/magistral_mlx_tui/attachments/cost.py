"""The cost of an image before it is sent: scaled size, tokens, time and memory."""

from dataclasses import dataclass

from magistral_mlx.engine.protocol import EngineModel
from magistral_mlx.storage.units import format_memory
from magistral_mlx_tui.text.format import format_seconds


@dataclass(frozen=True)
class ImageCost:
    """The cost of one image for one model."""

    width: int
    height: int
    """In pixels, after the model's own resizing."""
    tokens: int
    """Positions of the prompt, breaks and end included."""
    seconds: float | None
    """To read it, at the speed of the last prefill; None before there was one."""
    kv_bytes: int | None
    """Of the KV cache that it fills; None: not known."""

    @property
    def words(self) -> str:
        """The cost in one line."""
        parts = [f"{self.tokens:,} tokens", f"scaled to {self.width}×{self.height}"]
        if self.kv_bytes:
            parts.append(f"needs {format_memory(self.kv_bytes)}")
        if self.seconds is not None:
            parts.append(f"about {format_seconds(self.seconds)} to read")
        return ", ".join(parts)


def image_cost(
    size: tuple[int, int] | None, model: EngineModel | None, *, reading_speed: float | None
) -> ImageCost | None:
    """The cost of an image of `size` pixels; None where model or size are not known yet.

    Args:
        reading_speed: prompt tokens per second, as measured last.
    """
    if size is None or model is None or model.geometry is None or min(size) < 1:
        return None
    from magistral_mlx.prompt.images import seen_size

    width, height, tokens = seen_size(size[0], size[1], model.geometry)
    return ImageCost(
        width=width,
        height=height,
        tokens=tokens,
        seconds=tokens / reading_speed if reading_speed else None,
        kv_bytes=tokens * model.kv_bytes_per_token or None,
    )
