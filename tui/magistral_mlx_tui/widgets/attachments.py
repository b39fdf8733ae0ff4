"""The images of the next question, each with its cost; hidden when there are none."""

from collections.abc import Sequence

from textual.content import Content

from magistral_mlx.engine.protocol import EngineModel
from magistral_mlx.storage.units import format_memory
from magistral_mlx_tui.attachments.cost import image_cost
from magistral_mlx_tui.attachments.images import AttachedImage
from magistral_mlx_tui.text.format import format_seconds
from magistral_mlx_tui.widgets.plain import PlainStatic

_MOST_ROWS = 3
"""Images listed one by one; more are summed up."""
_HINT = "   F7 review, Backspace in an empty prompt removes the last"


class Attachments(PlainStatic):
    """One row an image, and a sum where there are several."""

    def show_images(
        self, images: Sequence[AttachedImage], model: EngineModel | None, *, reading_speed: float | None
    ) -> None:
        """List `images` in their order.

        Args:
            reading_speed: prompt tokens per second, as measured last.
        """
        self.display = bool(images)
        if not images:
            return
        rows: list[str | tuple[str, str]] = []
        for number, image in enumerate(images[:_MOST_ROWS], start=1):
            cost = image_cost(image.size, model, reading_speed=reading_speed)
            rows += ["\n"] if rows else []
            rows += [(f"▣ {number} ", "bold $secondary"), image.label]
            rows += [(f"  {cost.words}", "$foreground 60%")] if cost else []
        if len(images) > 1:
            rows += ["\n", (_sum(images, model, reading_speed), "bold"), (_HINT, "$foreground 60%")]
        else:
            rows.append((_HINT, "$foreground 60%"))
        self.show(Content.assemble(*rows))


def _sum(images: Sequence[AttachedImage], model: EngineModel | None, reading_speed: float | None) -> str:
    costs = [image_cost(each.size, model, reading_speed=reading_speed) for each in images]
    parts = [f"{len(images)} images"]
    known = [cost for cost in costs if cost]
    if len(known) == len(costs):
        parts.append(f"{sum(cost.tokens for cost in known):,} tokens")
        if memory := sum(cost.kv_bytes or 0 for cost in known):
            parts.append(format_memory(memory))
        if reading_speed:
            parts.append(f"about {format_seconds(sum(cost.seconds or 0.0 for cost in known))} to read")
    return ", ".join(parts)
