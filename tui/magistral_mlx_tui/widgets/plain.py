"""A Static that never reads markup."""

from collections.abc import Sequence

from textual.content import Content
from textual.widgets import Static

from magistral_mlx_tui.text.gauges import Piece


class PlainStatic(Static):
    """A Static whose text is text: brackets in it mean nothing."""

    def __init__(
        self,
        text: str | Content = "",
        *,
        id: str | None = None,  # noqa: A002 - Textual's name
        classes: str | None = None,
    ) -> None:
        super().__init__(text, markup=False, id=id, classes=classes)
        self._shown: str | Content = text

    def show(self, text: str | Content, *, layout: bool = True) -> None:
        """Show `text`, unless it is shown already. `layout`: its height may change."""
        if text != self._shown:
            self._shown = text
            self.update(text, layout=layout)

    def show_rows(self, rows: Sequence[Sequence[Piece]]) -> None:
        """Show rows of styled pieces, without a new layout."""
        parts: list[str | Piece] = []
        for number, row in enumerate(rows):
            parts += ["\n", *row] if number else [*row]
        self.show(Content.assemble(*parts), layout=False)
