"""The first row: the program, the model, and its state in one word."""

from rich.cells import cell_len
from textual.content import Content

from magistral_mlx.engine.protocol import EngineModel
from magistral_mlx.sanitize import sanitize_line
from magistral_mlx_tui.conversation.controller import Phase
from magistral_mlx_tui.text.layout.wrap import clip_cells
from magistral_mlx_tui.widgets.plain import PlainStatic

_LOOKS: dict[Phase, tuple[str, str]] = {
    Phase.LOADING: ("◌", "$secondary"),
    Phase.READY: ("●", "$success"),
    Phase.READING: ("◔", "$secondary"),
    Phase.THINKING: ("◑", "$secondary"),
    Phase.ANSWERING: ("◕", "$primary"),
    Phase.PAUSED: ("‖", "$warning"),
    Phase.STOPPED: ("■", "$warning"),
    Phase.FAILED: ("✖", "$error"),
}
"""A sign and a colour beside each word, never in its place."""


class Header(PlainStatic):
    """One row; `show_state` draws it."""

    def show_state(self, phase: Phase, model: EngineModel | None, *, stopping: bool) -> None:
        """Show the model and the state's word."""
        sign, colour = _LOOKS[phase]
        word = "stopping" if stopping else phase.value
        brand = "▌magistral"
        state = f"{sign} {word} "
        details = (
            [part for part in (model.quantization, f"{model.context_length:,} tokens") if part]
            if model
            else []
        )
        room = self.size.width - len(brand) - len(state) - 3
        name = clip_cells(sanitize_line(model.name), max(0, room)) if model else ""
        rest = ""
        for part in details:
            longer = f"{rest} · {sanitize_line(part)}"
            rest = longer if cell_len(name + longer) <= room else rest
        gap = " " * max(1, self.size.width - len(brand) - 2 - cell_len(name + rest) - len(state))
        self.show(
            Content.assemble(
                (brand, "bold $primary"),
                "  ",
                (name, "bold"),
                (rest, "$foreground 60%"),
                gap,
                (state, f"bold {colour}"),
            ),
            layout=False,
        )
