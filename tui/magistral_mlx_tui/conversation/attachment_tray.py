"""Where images wait for the next question: attached by path, by drop, from the clipboard."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from magistral_mlx.errors import MagistralError
from magistral_mlx.storage.paths import images_directory
from magistral_mlx_tui.attachments.clipboard import clipboard_image
from magistral_mlx_tui.attachments.cost import image_cost
from magistral_mlx_tui.attachments.images import AttachedImage, keep_image
from magistral_mlx_tui.conversation.controller import Controller


class AttachmentTray:
    """The attached images, in their order.

    Args:
        controller: knows the model that will see them.
        say: shows a line to people; with an empty one the line is cleared.
    """

    def __init__(self, controller: Controller, say: Callable[[str], None]) -> None:
        self.images: list[AttachedImage] = []
        self._controller = controller
        self._say = say

    @property
    def reading_speed(self) -> float | None:
        """Prompt tokens per second of the last prefill that was measured."""
        speeds = [turn.reading_speed for turn in self._controller.turns if turn.reading_speed]
        return speeds[-1] if speeds else None

    def cost(self, image: AttachedImage) -> str:
        """What it will cost, in words; empty where that is not known."""
        cost = image_cost(image.size, self._controller.model, reading_speed=self.reading_speed)
        return cost.words if cost else ""

    def refusal(self) -> str:
        """Why no image can be attached; empty when it can."""
        model = self._controller.model
        return f"{model.name} takes no images." if model is not None and not model.vision else ""

    async def attach(self, files: Sequence[Path]) -> None:
        """Keep the bytes of `files` and attach them; the first that is no image ends it with a word."""
        for file in files:
            try:
                self.images.append(await asyncio.to_thread(keep_image, file))
            except MagistralError as error:
                self._say(str(error))
                return
        self._say("")

    async def paste(self) -> None:
        """Attach the image on the clipboard."""
        try:
            file = await asyncio.to_thread(clipboard_image, images_directory() / "pasted")
        except (MagistralError, OSError) as error:
            self._say(str(error))
            return
        await self.attach([file])
        await asyncio.to_thread(file.unlink, missing_ok=True)

    def remove_last(self) -> None:
        """Take the last image away."""
        if self.images:
            self._say(f"Removed {self.images.pop().name}.")

    def take(self) -> tuple[AttachedImage, ...]:
        """All of them, for a question; the desk is empty afterwards."""
        taken = tuple(self.images)
        self.images.clear()
        return taken
