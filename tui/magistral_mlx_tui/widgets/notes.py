"""What the app says in words: the miniature's banner, the status line, the failure panel."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content

from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.sessions.records import Options
from magistral_mlx_tui.conversation.controller import Controller, Failure, Phase
from magistral_mlx_tui.conversation.thinking import thinking_label
from magistral_mlx_tui.text.format import bar, format_seconds
from magistral_mlx_tui.widgets.plain import PlainStatic

_PROGRESS_WIDTH = 24
_MINIATURE = (
    "a toy of the same build, not Magistral Small: it adds numbers and reads its own little images. "
    "F1 tells how to get the real one",
    "a toy of the same build, not Magistral Small. F1 tells how to get the real one",
    "a toy, not Magistral Small: see F1",
)
"""From long to short."""


class MiniatureNote(PlainStatic):
    """Stands under the header as long as the miniature is the model."""

    def show_note(self, width: int) -> None:
        """Say it in one row of `width` cells."""
        words = next((words for words in _MINIATURE if len(words) + 14 <= width), _MINIATURE[-1])
        self.show(Content.assemble(("▲ MINIATURE  ", "bold"), words))


class StatusLine(PlainStatic):
    """One row above the prompt: what is going on, or the last thing worth saying."""

    def show_state(self, controller: Controller, message: str, options: Options) -> None:
        """Loading and reading show how far they are; otherwise `message`, or what is next.

        What people must not miss stands first: that the conversation cannot be saved, that thinking is off.
        """
        waiting = len(controller.queue)
        progress = [] if message else _progress(controller)
        words = progress or [(message or _standing_words(controller, self.size.width), "$foreground 60%")]
        if waiting:
            words = [(f"{waiting} question{'s' if waiting > 1 else ''} waiting  ", "bold $warning"), *words]
        if trouble := controller.keeper.trouble:
            words = [(f"▲ {sanitize_line(trouble)}  ", "bold $error"), *words]
        if label := thinking_label(options):
            words = [(f"{label}  ", "bold $secondary"), *words]
        self.show(Content.assemble(*words), layout=False)


def _progress(controller: Controller) -> list[tuple[str, str]]:
    if controller.phase is Phase.LOADING:
        what, done, total = controller.loading.stage, controller.loading.done, controller.loading.total
    elif controller.phase is Phase.READING and controller.prefill is not None:
        what, done, total = "Reading the question", controller.prefill.done, controller.prefill.total
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
        return "Paused: F11 goes on, with a hint if you like · esc stops"
    if controller.phase is Phase.THINKING:
        return "esc stops and keeps everything · F12 answers now · F11 pauses"
    if controller.phase.busy:
        return "esc stops and keeps everything"
    if turn is None or turn.reply is None:
        return ""
    stats = turn.reply.stats
    cached = f" ({stats.cached_tokens:,} remembered)" if stats.cached_tokens else ""
    words = "ctrl+y copies the answer"
    for part in (
        f"{stats.prompt_tokens:,} tokens read{cached}" if stats.prompt_tokens else "",
        f"{turn.reasoning_tokens + turn.answer_tokens:,} written",
        f"first token after {format_seconds(stats.time_to_first_token)}" if stats.time_to_first_token else "",
    ):
        longer = f"{words} · {part}"
        words = longer if part and len(longer) <= width else words
    return words


class FailurePanel(PlainStatic, can_focus=True):
    """What broke, what to do, where to read more; it has keys of its own while it has the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "screen.restart", "Restart"),
        Binding("c", "screen.copy_failure", "Copy"),
        Binding("escape", "screen.dismiss_failure", "Dismiss"),
    ]

    def show_failure(self, failure: Failure | None) -> None:
        """Show `failure`, or hide."""
        self.display = failure is not None
        if failure is None:
            return
        self.border_title = Content("The engine is gone" if failure.engine_lost else "That did not work")
        keys = (
            "ctrl+r (or r here) starts the engine again · c copies"
            if failure.engine_lost
            else "esc closes · c copies"
        )
        self.border_subtitle = Content(keys)
        parts: list[str | tuple[str, str]] = [(failure.problem, "bold")]
        parts += ["\n" + failure.remedy] if failure.remedy else []
        parts += [("\nMore in " + failure.log, "$foreground 60%")] if failure.log else []
        self.show(Content.assemble(*parts))
