"""Asks for an image: a path with completion, or a tree of folders with a preview."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import DirectoryTree, Input

from magistral_mlx.errors import MagistralError
from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.storage.paths import typed_path
from magistral_mlx_tui.attachments.images import keep_image
from magistral_mlx_tui.attachments.thumbnail import ImageMode
from magistral_mlx_tui.widgets.plain import PlainStatic
from magistral_mlx_tui.widgets.preview import Preview

_MOST_ENTRIES = 2000
"""Names in a folder that are tried to complete a path."""
_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".avif"))


class PathSuggester(Suggester):
    """Completes the last name of a path from the folder on the disk."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """The first entry, by name, that begins as `value` ends."""
        head, slash, start = value.rpartition("/")
        if not start:
            return None
        folder = typed_path((head + slash).strip()) if slash else Path()
        try:
            names = [
                entry.name for entry, _number in zip(folder.iterdir(), range(_MOST_ENTRIES), strict=False)
            ]
        except (OSError, ValueError):  # no such folder: nothing to suggest
            return None
        fitting = sorted(name for name in names if name.startswith(start) and name.isprintable())
        return head + slash + fitting[0] if fitting else None


class ImageTree(DirectoryTree):
    """Folders and image files; hidden files and hostile names are left out."""

    # One cell each everywhere; terminals do not agree on the width of Textual's.
    ICON_NODE, ICON_NODE_EXPANDED, ICON_FILE = "▸ ", "▾ ", "▣ "

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        """See DirectoryTree."""
        return [path for path in paths if _is_shown(path)]


def _is_shown(path: Path) -> bool:
    if path.name.startswith(".") or not path.name.isprintable():
        return False
    try:
        return path.is_dir() or path.suffix.lower() in _SUFFIXES
    except OSError:
        return False


class ImagePathScreen(ModalScreen[str | None]):
    """A path, or None.

    Args:
        mode: how previews are drawn.
        folder: where browsing begins.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", show=False),
        Binding("ctrl+q", "app.quit", "Quit", show=False, priority=True),
    ]

    def __init__(self, mode: ImageMode = ImageMode.HALF, *, folder: Path | None = None) -> None:
        super().__init__()
        self._mode = mode
        self._folder = folder or Path.home()

    def compose(self) -> ComposeResult:
        """An input line over the tree and the preview."""
        with Vertical(id="images-box") as box:
            box.border_title = Content("Attach an image")
            suggester = PathSuggester()
            yield Input(placeholder="~/Pictures/chart.png", suggester=suggester, compact=True, id="path")
            with Horizontal():
                yield ImageTree(self._folder, id="image-tree")
                yield Preview(self._mode, id="preview")
            yield PlainStatic("Enter attaches · → completes · Tab browse · Esc cancels", classes="hint")

    def on_mount(self) -> None:
        """Typing comes first."""
        self.query_one("#path", Input).focus()

    @on(Input.Submitted)
    def _take(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)

    @on(DirectoryTree.FileSelected)
    def _take_file(self, event: DirectoryTree.FileSelected) -> None:
        self.dismiss(str(event.path))

    @on(DirectoryTree.NodeHighlighted)
    def _look(self, event: DirectoryTree.NodeHighlighted[object]) -> None:
        path: object = getattr(event.node.data, "path", None)
        if isinstance(path, Path) and path.suffix.lower() in _SUFFIXES:
            self.run_worker(self._preview(path), group="look", exclusive=True)
        else:
            self.query_one(Preview).show_image(None, "")

    async def _preview(self, path: Path) -> None:
        try:
            image = await asyncio.to_thread(keep_image, path)
        except MagistralError as error:
            self.query_one(Preview).show_image(None, sanitize_line(str(error)))
        else:
            self.query_one(Preview).show_image(image.kept, image.label)

    def action_cancel(self) -> None:
        """Close without an image."""
        self.dismiss(None)
