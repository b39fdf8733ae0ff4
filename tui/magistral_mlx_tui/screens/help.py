"""All keys and commands, from the one table."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from magistral_mlx_tui.commands import COMMANDS
from magistral_mlx_tui.widgets.plain import PlainStatic

_KEY_WIDTH = 11


class HelpScreen(ModalScreen[None]):
    """Any of the closing keys leaves it."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,q,enter", "dismiss", "Close", show=False),
        Binding("ctrl+q", "app.quit", "Quit", show=False, priority=True),
    ]

    def compose(self) -> ComposeResult:
        """One scrolling sheet."""
        with VerticalScroll(id="sheet") as sheet:
            sheet.border_title = Content("Keys and commands")
            sheet.border_subtitle = Content("esc closes")
            yield PlainStatic(help_text())


def help_text() -> Content:
    """The sheet: groups, keys, what they do, and the slash commands."""
    parts: list[str | tuple[str, str]] = []
    for group in dict.fromkeys(command.group for command in COMMANDS):
        parts += ["\n" if parts else "", (group, "bold underline $primary"), "\n"]
        for command in COMMANDS:
            if command.group == group:
                key = command.key_label or command.key
                parts += [(key.rjust(_KEY_WIDTH), "bold $secondary"), f"  {command.help}"]
                parts += [(f"  {command.usage}", "$text-muted")] if command.usage else []
                parts.append("\n")
    return Content.assemble(*parts)
