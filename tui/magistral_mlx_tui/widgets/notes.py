"""The miniature's banner, the status line, the failure panel."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content

from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.storage.messages import Options
from magistral_mlx_tui.conversation.controller import Controller, Failure, Phase
from magistral_mlx_tui.conversation.thinking import thinking_label
from magistral_mlx_tui.text.format import bar, format_seconds
from magistral_mlx_tui.widgets.plain import PlainStatic

_PROGRESS_WIDTH = 24
_MINIATURE = (
    "Demo model, not Magistral Small: it adds numbers and reads its own small images. F3 gets the real one",
    "Demo model, not Magistral Small. F3 gets the real one",
    "Demo model. F3 gets the real one",
)
"""From long to short."""


class MiniatureNote(PlainStatic):
    """Stands under the header while the miniature is the model."""

    def show_note(self, width: int) -> None:
        """Show the note in one row of `width` cells."""
        words = next((words for words in _MINIATURE if len(words) + 14 <= width), _MINIATURE[-1])
        self.show(Content.assemble(("▲ MINIATURE  ", "bold"), words))


class StatusLine(PlainStatic):
    """One row above the prompt: progress, the last message, or advice."""

    def show_state(self, controller: Controller, message: str, options: Options) -> None:
        """Show progress while loading and reading; otherwise `message`, or advice.

        Warnings stand first: the conversation cannot be saved, thinking is off.
        """
        waiting = len(controller.queue)
        progress = [] if message else _progress(controller)
        words = progress or [(message or _standing_words(controller, self.size.width), "$foreground 60%")]
        if waiting:
            words = [(f"{waiting} queued  ", "bold $warning"), *words]
        if trouble := controller.recorder.trouble:
            words = [(f"▲ {sanitize_line(trouble)}  ", "bold $error"), *words]
        if label := thinking_label(options):
            words = [(f"{label}  ", "bold $secondary"), *words]
        self.show(Content.assemble(*words), layout=False)


def _progress(controller: Controller) -> list[tuple[str, str]]:
    if controller.phase is Phase.LOADING:
        what, done, total = controller.loading.stage, controller.loading.done, controller.loading.total
    elif controller.phase is Phase.READING and controller.prefill is not None:
        what, done, total = "Reading the prompt", controller.prefill.done, controller.prefill.total
    else:
        return []
    if total <= 0:
        return [(f"{what}…", "$secondary")]
    share = done / total
    return [
        (f"{what} ", "$secondary"),
        (bar(share, _PROGRESS_WIDTH), "$secondary on $panel"),
        (f" {share:.0%}", "bold"),
    ]


def _standing_words(controller: Controller, width: int) -> str:
    turn = controller.turn
    if controller.stopping:
        return "Stopping…"
    if controller.phase is Phase.PAUSED:
        return "Paused: F11 resumes, with an optional hint · Esc stops"
    if controller.phase is Phase.THINKING:
        return "Esc stops and keeps everything · F12 answers now · F11 pauses"
    if controller.phase.busy:
        return "Esc stops and keeps everything"
    if turn is None or turn.reply is None:
        return ""
    stats = turn.reply.stats
    cached = f" ({stats.cached_tokens:,} cached)" if stats.cached_tokens else ""
    words = "Ctrl+Y copies the answer"
    for part in (
        f"{stats.prompt_tokens:,} prompt{cached}" if stats.prompt_tokens else "",
        f"{turn.reasoning_tokens + turn.answer_tokens:,} generated",
        f"first token after {format_seconds(stats.time_to_first_token)}" if stats.time_to_first_token else "",
    ):
        longer = f"{words} · {part}"
        words = longer if part and len(longer) <= width else words
    return words


class FailurePanel(PlainStatic, can_focus=True):
    """A failure, its remedy and the log; has its own keys while it has the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "screen.obey('restart')", "Restart"),
        Binding("c", "screen.copy_failure", "Copy"),
        Binding("escape", "screen.dismiss_failure", "Dismiss"),
    ]

    def show_failure(self, failure: Failure | None) -> None:
        """Show `failure`, or hide."""
        self.display = failure is not None
        if failure is None:
            return
        self.border_title = Content("The engine stopped" if failure.engine_lost else "Couldn't answer")
        keys = (
            "Ctrl+R (or R here) restarts the engine · C copies"
            if failure.engine_lost
            else "Esc closes · C copies"
        )
        self.border_subtitle = Content(keys)
        parts: list[str | tuple[str, str]] = [(failure.problem, "bold")]
        parts += ["\n" + failure.remedy] if failure.remedy else []
        parts += [("\nLog: " + failure.log, "$foreground 60%")] if failure.log else []
        self.show(Content.assemble(*parts))
