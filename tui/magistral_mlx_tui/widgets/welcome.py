"""What stands in the middle before the first question."""

from textual.content import Content

from magistral_mlx_tui.controller import Controller, Phase
from magistral_mlx_tui.text.figures import bar
from magistral_mlx_tui.widgets.plain import PlainStatic

_WORDMARK = (
    "█▀▄▀█ ▄▀▄ █▀▀ █ █▀▀ ▀█▀ █▀▄ ▄▀▄ █  ",
    "█ ▀ █ █▀█ █▄█ █ ▄▄█  █  █▀▄ █▀█ █▄▄",
)
_SHADES = ("#FFD800", "#FFAF00", "#FF8205", "#FA500F", "#E10500")
_HINTS = (
    ("type a question", "and press enter; you may do so while the model loads"),
    ("drop a picture", "onto this window, or attach it with ctrl+o"),
    ("esc", "stops an answer and keeps everything that came"),
    ("F1", "shows all keys"),
)
_MINIATURE_EXAMPLES = "What is 347 + 285?"
_EXAMPLES = "Why is the sky dark at night?"
_HINT_COLUMN = 17


class Welcome(PlainStatic):
    """Name, what is loading, and how to begin."""

    def show_state(self, controller: Controller) -> None:
        """Draw what the controller is doing."""
        parts: list[str | tuple[str, str]] = []
        for row in _WORDMARK:
            parts += [*_shaded(row), "\n"]
        parts += [("reasoning and seeing, on your own machine", "$text-muted"), "\n\n"]
        parts += _state(controller)
        parts.append("\n")
        for name, words in _HINTS:
            parts += ["\n", (name.rjust(_HINT_COLUMN), "bold $primary"), "  ", (words, "$text-muted")]
        self.show(Content.assemble(*parts))


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
    example = _MINIATURE_EXAMPLES if controller.model and controller.model.is_miniature else _EXAMPLES
    return [("ready", "bold $success"), ("   try: ", "$text-muted"), (example, "bold")]
