"""Asks for the format of an export, with or without reasoning."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList

from magistral_mlx.sessions.export.formats import Format
from magistral_mlx_tui.text.paths import shown_path
from magistral_mlx_tui.widgets.plain import PlainStatic


@dataclass(frozen=True)
class ExportChoice:
    """A format, with or without reasoning."""

    form: Format
    reasoning: bool


_TITLES = {Format.MARKDOWN: "Markdown", Format.HTML: "HTML", Format.JSON: "JSON"}
_CHOICES = tuple(ExportChoice(form, reasoning) for form in Format for reasoning in (True, False))


class ExportScreen(ModalScreen[ExportChoice | None]):
    """The choice, or None for escape.

    Args:
        folder: the file goes there.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", show=False),
        Binding("ctrl+q", "app.quit", "Quit", show=False, priority=True),
    ]

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def compose(self) -> ComposeResult:
        """Every format twice."""
        with Vertical(id="export-box") as box:
            box.border_title = Content("Export this conversation")
            yield OptionList(*map(_row, _CHOICES), id="export-list", markup=False)
            yield PlainStatic(
                f"Enter saves a new file in {shown_path(self._folder)} · Esc cancels\n"
                "/export FILE saves it elsewhere; “without reasoning” can follow",
                classes="hint",
            )

    @on(OptionList.OptionSelected)
    def _take(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(_CHOICES[event.option_index])


def _row(choice: ExportChoice) -> Content:
    words = "questions, reasoning and answers" if choice.reasoning else "questions and answers only"
    return Content.assemble((f"{_TITLES[choice.form]:10}", "bold"), (words, "$foreground 60%"))
