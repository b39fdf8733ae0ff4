"""Review, reorder and remove the attached images."""

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList

from magistral_mlx_tui.attachments.images import AttachedImage
from magistral_mlx_tui.attachments.thumbnail import ImageMode
from magistral_mlx_tui.widgets.plain import PlainStatic
from magistral_mlx_tui.widgets.preview import Preview


class AttachedScreen(ModalScreen[None]):
    """Works on `images` in place.

    Args:
        images: in the order for the model.
        cost: says what an image will cost.
        mode: how previews are drawn.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,f7", "dismiss", "Close", show=False),
        Binding("shift+up,left_square_bracket", "move(-1)", "Earlier", show=False),
        Binding("shift+down,right_square_bracket", "move(1)", "Later", show=False),
        Binding("delete,backspace", "remove", "Remove", show=False),
        Binding("ctrl+q", "app.quit", "Quit", show=False, priority=True),
    ]

    def __init__(
        self, images: list[AttachedImage], *, cost: Callable[[AttachedImage], str], mode: ImageMode
    ) -> None:
        super().__init__()
        self._images = images
        self._cost = cost
        self._mode = mode

    def compose(self) -> ComposeResult:
        """A list beside the preview, and the keys."""
        with Vertical(id="images-box") as box:
            box.border_title = Content("Attached images")
            with Horizontal():
                yield OptionList(id="image-list", markup=False)
                yield Preview(self._mode, id="preview")
            yield PlainStatic("↑ ↓ choose · [ ] move · Delete removes · Esc closes", classes="hint")

    def on_mount(self) -> None:
        """Fill the list and show the first image."""
        self._fill(0)
        self.query_one(OptionList).focus()

    def action_move(self, step: int) -> None:
        """Move the chosen image one place."""
        chosen = self.query_one(OptionList).highlighted
        if chosen is not None and 0 <= chosen + step < len(self._images):
            self._images.insert(chosen + step, self._images.pop(chosen))
            self._fill(chosen + step)

    def action_remove(self) -> None:
        """Remove the chosen image; close after the last one."""
        chosen = self.query_one(OptionList).highlighted
        if chosen is None:
            return
        del self._images[chosen]
        if self._images:
            self._fill(min(chosen, len(self._images) - 1))
        else:
            self.dismiss()

    @on(OptionList.OptionHighlighted)
    def _look(self, event: OptionList.OptionHighlighted) -> None:
        image = self._images[event.option_index]
        self.query_one(Preview).show_image(image.kept, f"{image.label}\n{self._cost(image)}")

    @on(OptionList.OptionSelected)
    def _close(self) -> None:
        self.dismiss()

    def _fill(self, chosen: int) -> None:
        shown = self.query_one(OptionList)
        shown.clear_options()
        shown.add_options([f"{number}  {each.name}" for number, each in enumerate(self._images, start=1)])
        shown.highlighted = chosen
