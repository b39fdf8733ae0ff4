"""The attached pictures: look at each, change their order, take one away."""

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList

from magistral_mlx_tui.attachments.pictures import Picture
from magistral_mlx_tui.attachments.thumbnail import PictureMode
from magistral_mlx_tui.widgets.plain import PlainStatic
from magistral_mlx_tui.widgets.preview import Preview


class AttachedScreen(ModalScreen[None]):
    """Works on `pictures` in place.

    Args:
        pictures: in the order in which the model gets them.
        cost: what a picture will cost, in words.
        mode: how previews are drawn.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,f7", "dismiss", "Close", show=False),
        Binding("shift+up,left_square_bracket", "move(-1)", "Earlier", show=False),
        Binding("shift+down,right_square_bracket", "move(1)", "Later", show=False),
        Binding("delete,backspace", "remove", "Remove", show=False),
        Binding("ctrl+q", "app.quit", "Quit", show=False, priority=True),
    ]

    def __init__(self, pictures: list[Picture], *, cost: Callable[[Picture], str], mode: PictureMode) -> None:
        super().__init__()
        self._pictures = pictures
        self._cost = cost
        self._mode = mode

    def compose(self) -> ComposeResult:
        """A list beside the preview, and the keys."""
        with Vertical(id="pictures-box") as box:
            box.border_title = Content("Attached pictures")
            with Horizontal():
                yield OptionList(id="picture-list", markup=False)
                yield Preview(self._mode, id="preview")
            yield PlainStatic("↑ ↓ choose · [ ] move · delete removes · esc closes", classes="hint")

    def on_mount(self) -> None:
        """Fill the list and show the first picture."""
        self._fill(0)
        self.query_one(OptionList).focus()

    def action_move(self, step: int) -> None:
        """Move the chosen picture one place."""
        chosen = self.query_one(OptionList).highlighted
        if chosen is not None and 0 <= chosen + step < len(self._pictures):
            self._pictures.insert(chosen + step, self._pictures.pop(chosen))
            self._fill(chosen + step)

    def action_remove(self) -> None:
        """Take the chosen picture away; after the last one there is nothing to look at."""
        chosen = self.query_one(OptionList).highlighted
        if chosen is None:
            return
        del self._pictures[chosen]
        if self._pictures:
            self._fill(min(chosen, len(self._pictures) - 1))
        else:
            self.dismiss()

    @on(OptionList.OptionHighlighted)
    def _look(self, event: OptionList.OptionHighlighted) -> None:
        picture = self._pictures[event.option_index]
        self.query_one(Preview).show_picture(picture.kept, f"{picture.label}\n{self._cost(picture)}")

    @on(OptionList.OptionSelected)
    def _close(self) -> None:
        self.dismiss()

    def _fill(self, chosen: int) -> None:
        shown = self.query_one(OptionList)
        shown.clear_options()
        shown.add_options([f"{number}  {each.name}" for number, each in enumerate(self._pictures, start=1)])
        shown.highlighted = chosen
