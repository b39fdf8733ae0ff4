"""An image as large as its place allows, drawn in a thread to keep the screen responsive."""

import asyncio
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content

from magistral_mlx.errors import MagistralError
from magistral_mlx.storage.paths import images_directory
from magistral_mlx_tui.attachments.thumbnail import ImageMode, half_cells, small_copy, terminal_is_prepared
from magistral_mlx_tui.widgets.plain import PlainStatic


class Preview(Vertical):
    """Shows one image, or the reason why it cannot be shown.

    Args:
        mode: KITTY, SIXEL, HALF or OFF; the first two fall back to HALF where the terminal was not prepared.
    """

    def __init__(self, mode: ImageMode, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._mode = mode
        self._wanted: Path | None = None
        self._words = ""

    def compose(self) -> ComposeResult:
        """Half blocks and words go into one plain widget."""
        yield PlainStatic(id="preview-text")

    def show_image(self, image: Path | None, words: str) -> None:
        """Show the image at `image`, whose bytes lie there, with `words` under it."""
        self._wanted, self._words = image, words
        if image is None or self._mode is ImageMode.OFF:
            self.query_one(PlainStatic).show(words)
            return
        self.run_worker(self._draw(image, words), group="preview", exclusive=True)

    def on_resize(self) -> None:
        """The image is as large as its place."""
        if self._wanted is not None:
            self.show_image(self._wanted, self._words)

    async def _draw(self, image: Path, words: str) -> None:
        columns, rows = max(4, self.content_size.width), max(2, self.content_size.height - 2)
        try:
            small = await asyncio.to_thread(small_copy, image, images_directory() / "small")
            if self._mode in (ImageMode.KITTY, ImageMode.SIXEL) and terminal_is_prepared():
                await self._draw_natively(small)
                drawn = Content(words)
            else:
                cells = await asyncio.to_thread(half_cells, small, columns, rows)
                drawn = Content.assemble(cells, "\n", words)
        except (MagistralError, OSError) as error:
            drawn = Content(str(error))
        if self._wanted == image:
            self.query_one("#preview-text", PlainStatic).show(drawn)

    async def _draw_natively(self, small: Path) -> None:
        from textual_image.widget import SixelImage, TGPImage

        await self.query("#native").remove()
        kind = TGPImage if self._mode is ImageMode.KITTY else SixelImage
        image = kind(str(small), id="native")
        await self.mount(image, before=0)
