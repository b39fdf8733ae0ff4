"""All settings on one sheet, made from their table; changes are saved immediately."""

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Select

from magistral_mlx.sanitize import sanitize_line
from magistral_mlx_tui.settings import Field, Settings, check, settings_file, shown_fields, with_text
from magistral_mlx_tui.text.paths import shown_path
from magistral_mlx_tui.widgets.plain import PlainStatic


class SettingsScreen(ModalScreen[None]):
    """Calls `changed` after every change.

    Args:
        settings: the present ones.
        changed: saves and applies settings; returns a line if it failed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f10", "dismiss", "Close", show=False),
        Binding("ctrl+q", "app.quit", "Quit", show=False, priority=True),
    ]

    def __init__(self, settings: Settings, changed: Callable[[Settings], str]) -> None:
        super().__init__()
        self._settings = settings
        self._changed = changed

    def compose(self) -> ComposeResult:
        """Name, control and explanation of each setting."""
        with VerticalScroll(id="sheet") as sheet:
            sheet.border_title = Content("Settings")
            sheet.border_subtitle = Content("Esc closes · saved immediately")
            yield PlainStatic("", id="settings-problem")
            with Grid(classes="settings"):
                for name, setting in shown_fields():
                    yield PlainStatic(setting.title, classes="key")
                    yield self._control(name, setting)
                    yield PlainStatic(setting.help, classes="hint")
            yield PlainStatic(
                f"Change shortcuts in {shown_path(settings_file())}, table [keys].",
                classes="hint",
            )

    def _control(self, name: str, setting: Field) -> Input | Select[str] | Select[bool]:
        value = getattr(self._settings, name)
        if isinstance(value, bool):
            return Select([("on", True), ("off", False)], value=value, allow_blank=False, id=name)
        if setting.choices:
            return Select(
                [(choice, choice) for choice in setting.choices], value=value, allow_blank=False, id=name
            )
        return Input("" if value is None else str(value), compact=True, id=name)

    @on(Select.Changed)
    def _selected(self, event: Select.Changed) -> None:
        self._take(event.select.id, event.value)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        name = event.input.id or ""
        try:
            self._apply(with_text(self._settings, name, event.value))
        except ValueError as error:
            self._say(f"{dict(shown_fields())[name].title} {error}.")

    def _take(self, name: str | None, value: object) -> None:
        if name:
            self._apply(replace(self._settings, **{name: check(name, value)}))

    def _apply(self, settings: Settings) -> None:
        if settings != self._settings:
            self._settings = settings
            self._say(self._changed(settings))
        else:
            self._say("")

    def _say(self, words: str) -> None:
        self.query_one("#settings-problem", PlainStatic).show(sanitize_line(words))
