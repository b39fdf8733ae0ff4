"""The prompt: Enter sends, Ctrl+J starts a new line, dropped images are attached."""

from dataclasses import dataclass
from pathlib import Path

from textual import events
from textual.message import Message
from textual.widgets import TextArea

from magistral_mlx_tui.text.paths import dropped_files


class Prompt(TextArea):
    """Grows with its text; tells the screen through its messages."""

    @dataclass
    class Sent(Message):
        """Enter was pressed on `text`."""

        text: str

    @dataclass
    class Dropped(Message):
        """Paths of existing files were pasted or dropped."""

        files: list[Path]

    class ImageWanted(Message):
        """A paste without text: the clipboard may hold an image."""

    class RemoveRequested(Message):
        """Backspace was pressed in an empty prompt."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(
            id=id,
            compact=True,
            highlight_cursor_line=False,
            placeholder="Ask anything…   Enter sends · Ctrl+O attaches an image",
        )

    # Textual calls the handlers of all base classes after these two, unless the default is prevented.

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self.post_message(self.Sent(self.text))
        elif event.key in ("ctrl+j", "shift+enter"):
            event.stop()
            event.prevent_default()
            self.insert("\n")
        elif event.key == "backspace" and not self.text:
            self.post_message(self.RemoveRequested())

    async def _on_paste(self, event: events.Paste) -> None:
        if not event.text:
            event.stop()
            event.prevent_default()
            self.post_message(self.ImageWanted())
        elif files := dropped_files(event.text):
            event.stop()
            event.prevent_default()
            self.post_message(self.Dropped(files))
