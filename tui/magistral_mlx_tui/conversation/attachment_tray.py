"""Images attached to the next question."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from magistral_mlx.errors import ImageError, MagistralError
from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.storage.paths import images_directory
from magistral_mlx_tui.attachments.clipboard import clipboard_image
from magistral_mlx_tui.attachments.cost import image_cost
from magistral_mlx_tui.attachments.images import AttachedImage, keep_image
from magistral_mlx_tui.conversation.controller import Controller


class AttachmentTray:
    """The attached images, in their order.

    Args:
        controller: knows the model that will see them.
    """

    def __init__(self, controller: Controller) -> None:
        self.images: list[AttachedImage] = []
        self._controller = controller

    @property
    def reading_speed(self) -> float | None:
        """Prompt tokens per second of the last measured prefill."""
        speeds = [turn.reading_speed for turn in self._controller.turns if turn.reading_speed]
        return speeds[-1] if speeds else None

    def cost(self, image: AttachedImage) -> str:
        """Say what the image will cost; empty where that is unknown."""
        cost = image_cost(image.size, self._controller.model, reading_speed=self.reading_speed)
        return cost.words if cost else ""

    async def attach(self, files: Sequence[Path]) -> str:
        """Copy `files` and attach them up to the first that fails; returns a line for people."""
        if refusal := self._refusal():
            return refusal
        for file in files:
            try:
                self.images.append(await asyncio.to_thread(keep_image, file))
            except MagistralError as error:
                return str(error)
        return f"Attached {', '.join(image.label for image in self.images[-len(files) :])}"

    async def paste(self) -> str:
        """Attach the image on the clipboard; returns a line for people."""
        if refusal := self._refusal():
            return refusal
        try:
            file = await asyncio.to_thread(clipboard_image, images_directory() / "pasted")
        except (ImageError, OSError) as error:
            return str(error)
        attached = await self.attach([file])
        await asyncio.to_thread(file.unlink, missing_ok=True)
        return attached

    def remove_last(self) -> str:
        """Remove the last image; returns a line for people."""
        return f"Removed {self.images.pop().name}." if self.images else "No image is attached."

    def take(self) -> tuple[AttachedImage, ...]:
        """Detach all images and return them."""
        taken = tuple(self.images)
        self.images.clear()
        return taken

    def _refusal(self) -> str:
        """Why no image can be attached; empty when it can."""
        model = self._controller.model
        return f"{sanitize_line(model.name)} takes no images." if model and not model.vision else ""
