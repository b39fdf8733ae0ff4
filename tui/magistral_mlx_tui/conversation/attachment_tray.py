"""Where pictures wait for the next question: attached by path, by drop, from the clipboard."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from magistral_mlx.errors import MagistralError
from magistral_mlx.storage.paths import pictures_directory
from magistral_mlx_tui.attachments.clipboard import clipboard_picture
from magistral_mlx_tui.attachments.cost import picture_cost
from magistral_mlx_tui.attachments.pictures import Picture, keep_picture
from magistral_mlx_tui.conversation.controller import Controller


class PictureDesk:
    """The attached pictures, in their order.

    Args:
        controller: knows the model that will see them.
        say: shows a line to people; with an empty one the line is cleared.
    """

    def __init__(self, controller: Controller, say: Callable[[str], None]) -> None:
        self.pictures: list[Picture] = []
        self._controller = controller
        self._say = say

    @property
    def reading_speed(self) -> float | None:
        """Prompt tokens per second of the last prefill that was measured."""
        speeds = [turn.reading_speed for turn in self._controller.turns if turn.reading_speed]
        return speeds[-1] if speeds else None

    def cost(self, picture: Picture) -> str:
        """What it will cost, in words; empty where that is not known."""
        cost = picture_cost(picture.size, self._controller.model, reading_speed=self.reading_speed)
        return cost.words if cost else ""

    def refusal(self) -> str:
        """Why no picture can be attached; empty when it can."""
        model = self._controller.model
        return f"{model.name} takes no pictures." if model is not None and not model.vision else ""

    async def attach(self, files: Sequence[Path]) -> None:
        """Keep the bytes of `files` and attach them; the first that is no picture ends it with a word."""
        for file in files:
            try:
                self.pictures.append(await asyncio.to_thread(keep_picture, file))
            except MagistralError as error:
                self._say(str(error))
                return
        self._say("")

    async def paste(self) -> None:
        """Attach the picture on the clipboard."""
        try:
            file = await asyncio.to_thread(clipboard_picture, pictures_directory() / "pasted")
        except (MagistralError, OSError) as error:
            self._say(str(error))
            return
        await self.attach([file])
        await asyncio.to_thread(file.unlink, missing_ok=True)

    def remove_last(self) -> None:
        """Take the last picture away."""
        if self.pictures:
            self._say(f"Removed {self.pictures.pop().name}.")

    def take(self) -> tuple[Picture, ...]:
        """All of them, for a question; the desk is empty afterwards."""
        taken = tuple(self.pictures)
        self.pictures.clear()
        return taken
