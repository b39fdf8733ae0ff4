"""The prompt: enter sends, ctrl+j begins a new line, dropped images become attachments."""

from dataclasses import dataclass
from pathlib import Path

from textual import events
from textual.message import Message
from textual.widgets import TextArea

from magistral_mlx_tui.text.paths import dropped_files


class Prompt(TextArea):
    """Grows with its text; see the messages for what it tells the screen."""

    @dataclass
    class Sent(Message):
        """Enter was pressed on `text`."""

        text: str

    @dataclass
    class Dropped(Message):
        """Paths of existing files were pasted or dropped."""

        files: list[Path]

    class ImageWanted(Message):
        """A paste without text: an image may lie on the clipboard."""

    class RemoveRequested(Message):
        """Backspace was pressed where there is nothing to delete."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(
            id=id,
            compact=True,
            highlight_cursor_line=False,
            placeholder="Ask anything…   enter sends · ctrl+o adds an image",
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
