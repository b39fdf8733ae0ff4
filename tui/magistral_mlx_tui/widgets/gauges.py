"""Memory, speed and context, side by side under the panes; one block on a narrow screen."""

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content

from magistral_mlx_tui.conversation.controller import Controller
from magistral_mlx_tui.conversation.turns import Turn
from magistral_mlx_tui.text.gauges import (
    Activity,
    context_rows,
    memory_rows,
    memory_title,
    narrow_rows,
    speed_rows,
)
from magistral_mlx_tui.widgets.plain import PlainStatic


class Gauges(Horizontal):
    """Draws the controller's figures; the stylesheet shows the parts that fit."""

    def compose(self) -> ComposeResult:
        """Three gauges, and all of them in short."""
        for name, title in (("memory", "Memory"), ("speed", "Speed"), ("context", "Context")):
            gauge = PlainStatic(id=name, classes="gauge")
            gauge.border_title = Content(title)
            yield gauge
        yield PlainStatic(id="all-gauges")

    def show(self, controller: Controller) -> None:
        """Draw the present figures."""
        progress, prefill = controller.progress, controller.prefill
        length = controller.model.context_length if controller.model else None
        short = self.query_one("#all-gauges", PlainStatic)
        if short.display:
            short.show_rows(
                narrow_rows(progress, prefill, controller.speeds, length, short.content_size.width)
            )
            return
        memory, speed, context = (
            self.query_one(f"#{name}", PlainStatic) for name in ("memory", "speed", "context")
        )
        title = Content(memory_title(progress.telemetry, memory.content_size.width - 4))
        if memory.border_title != title:  # setting it draws the gauge anew
            memory.border_title = title
        memory.show_rows(memory_rows(progress, memory.content_size.width))
        turn = controller.turn
        speed.show_rows(
            speed_rows(
                progress,
                prefill,
                controller.speeds,
                speed.content_size.width,
                reading_speed=turn.reading_speed if turn else None,
                activity=_activity(turn) if turn else None,
            )
        )
        context.show_rows(context_rows(progress, length, context.content_size.width))


def _activity(turn: Turn) -> Activity:
    return Activity(turn.reasoning_tokens, turn.thinking_seconds, turn.answer_tokens, turn.answer_seconds)
