"""All keys and commands, from the one table."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from magistral_mlx.storage.units import GIB, format_installed
from magistral_mlx_tui.command_table import COMMANDS
from magistral_mlx_tui.widgets.plain import PlainStatic


class HelpScreen(ModalScreen[None]):
    """Keys, typed commands, and how to get the real model."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,q,enter", "dismiss", "Close", show=False),
        Binding("ctrl+q", "app.quit", "Quit", show=False, priority=True),
    ]

    def compose(self) -> ComposeResult:
        """One scrolling sheet."""
        with VerticalScroll(id="sheet") as sheet:
            sheet.border_title = Content("Keys and commands")
            sheet.border_subtitle = Content("Esc closes")
            for group in dict.fromkeys(command.group for command in COMMANDS):
                yield PlainStatic(group, classes="group")
                with Grid(classes="keys"):
                    for command in COMMANDS:
                        if command.group == group:
                            yield PlainStatic(
                                command.key_label or command.key or command.slash_name, classes="key"
                            )
                            yield PlainStatic(command.help)
            yield PlainStatic("Typed commands", classes="group")
            yield PlainStatic(
                "   ".join(command.usage.replace(" ", "\u00a0") for command in COMMANDS if command.usage)
            )
            yield PlainStatic("The real model", classes="group")
            yield PlainStatic(_REAL_MODEL)


_REAL_MODEL = Content.assemble(
    f"Magistral Small 1.2 runs on a Mac with {format_installed(32 * GIB)} of memory:\n",
    ("  magistral convert mistralai/Magistral-Small-2509 --to DIR\n", "bold"),
    ("  magistral --model DIR\n", "bold"),
    "Until then the miniature is the model: a demo of the same architecture.",
)
