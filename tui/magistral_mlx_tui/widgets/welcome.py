"""The middle of the screen before the first question."""

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content

from magistral_mlx.storage.units import GB, format_about
from magistral_mlx_tui.conversation.controller import Controller, Phase
from magistral_mlx_tui.text.format import bar
from magistral_mlx_tui.widgets.plain import PlainStatic

_WORDMARK = (
    "█▀▄▀█ ▄▀▄ █▀▀ █ █▀▀ ▀█▀ █▀▄ ▄▀▄ █  ",
    "█ ▀ █ █▀█ █▄█ █ ▄▄█  █  █▀▄ █▀█ █▄▄",
)
_SHADES = ("#FFD800", "#FFAF00", "#FF8205", "#FA500F", "#E10500")
_HINTS = (
    ("type", "a question; you can type while the model loads"),
    ("drop", "an image onto this window, or press Ctrl+O"),
    ("Esc", "stops an answer and keeps everything so far"),
    ("F1", "shows all keys"),
)
_WAYS = (
    "F3: download and convert Magistral Small "
    f"({format_about(48 * GB)} download, {format_about(14 * GB)} on disk)",
    "F3: pick an installed model, or convert a folder",
    "stay with the miniature, a demo model",
)
_MINIATURE_EXAMPLE = "What is 347 + 285?"
_EXAMPLE = "Why is the sky dark at night?"
_HINT_COLUMN = 4


class Welcome(Vertical):
    """Name, loading progress, and how to start."""

    def compose(self) -> ComposeResult:
        """Three centred blocks."""
        wordmark: list[str | tuple[str, str]] = []
        for number, row in enumerate(_WORDMARK):
            wordmark += ["\n" if number else "", *_shaded(row)]
        yield PlainStatic(Content.assemble(*wordmark), id="wordmark")
        yield PlainStatic("reasoning and vision, on your own machine", id="motto")
        yield PlainStatic(id="welcome-state")
        hints: list[str | tuple[str, str]] = []
        for name, words in _HINTS:
            hints += ["\n"] if hints else []
            hints += [(name.rjust(_HINT_COLUMN), "bold $primary"), "  ", (words, "$foreground 60%")]
        yield PlainStatic(Content.assemble(*hints), id="hints")
        ways: list[str | tuple[str, str]] = [("Choose a model\n", "bold $secondary")]
        for number, words in enumerate(_WAYS, start=1):
            ways += [
                (f"{number}".rjust(_HINT_COLUMN), "bold $primary"),
                "  ",
                (words, "$foreground 60%"),
                "\n",
            ]
        yield PlainStatic(Content.assemble(*ways), id="ways")

    def show_state(self, controller: Controller) -> None:
        """Draw the controller's state; with the miniature, how to get a real model."""
        ways = self.query_one("#ways", PlainStatic)
        ways.display = bool(controller.model and controller.model.is_miniature)
        self.query_one("#welcome-state", PlainStatic).show(Content.assemble(*_state(controller)))


def _shaded(row: str) -> list[tuple[str, str]]:
    step = -(-len(row) // len(_SHADES))
    return [(row[index * step : (index + 1) * step], shade) for index, shade in enumerate(_SHADES)]


def _state(controller: Controller) -> list[str | tuple[str, str]]:
    if controller.phase is Phase.LOADING:
        loading = controller.loading
        parts: list[str | tuple[str, str]] = [(loading.stage, "$secondary")]
        if loading.total > 0:
            share = loading.done / loading.total
            parts += ["  ", (bar(share, 20), "$secondary on $panel"), (f" {share:4.0%}", "bold")]
        return parts
    if controller.phase is Phase.FAILED:
        return [("The engine is not running", "$error")]
    example = _MINIATURE_EXAMPLE if controller.model and controller.model.is_miniature else _EXAMPLE
    return [("ready — try  ", "$success"), (example, "bold")]
