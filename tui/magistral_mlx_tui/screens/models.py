"""Pick an installed model, or convert one in the background."""

import asyncio
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from magistral_mlx.memory.sizes import Machine
from magistral_mlx_tui.models.choices import ModelChoice, model_choices
from magistral_mlx_tui.models.conversion_job import ConversionJob, JobState
from magistral_mlx_tui.widgets.plain import PlainStatic

_REAL = "mistralai/Magistral-Small-2509"
_REFRESH_SECONDS = 0.5


class ModelsScreen(ModalScreen[str | None]):
    """The name of the model to switch to, or None.

    Args:
        current: the running model's name; None: none runs.
        machine: this machine's memory, for the verdicts.
        job: the app's one conversion, which outlives this screen.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Close", show=False),
        Binding("f2", "stop_job", "Stop converting", show=False),
        Binding("ctrl+q", "app.quit", "Quit", show=False, priority=True),
    ]

    def __init__(self, current: str | None, machine: Machine, job: ConversionJob) -> None:
        super().__init__()
        self._current = current
        self._machine = machine
        self._job = job
        self._choices: list[ModelChoice] = []
        self._seen: JobState | None = job.state

    def compose(self) -> ComposeResult:
        """The list, the source to convert, and the conversion's state."""
        with Vertical(id="models-box") as box:
            box.border_title = Content("Models")
            yield OptionList(id="model-list", markup=False)
            yield PlainStatic("Convert another one: a folder, or a Hugging Face repo id", classes="key")
            yield Input(placeholder=_REAL, compact=True, id="source")
            yield PlainStatic("", id="job")
            yield PlainStatic(
                "Enter switches or converts · Tab · F2 stops converting · Esc closes",
                classes="hint",
            )

    def on_mount(self) -> None:
        """Look for models, and watch the conversion."""
        self.query_one(OptionList).add_option(Option("  looking for models…", disabled=True))
        self.query_one(OptionList).focus()
        self.run_worker(self._fill(), group="models")
        self.set_interval(_REFRESH_SECONDS, self._show_job)

    async def _fill(self) -> None:
        self._choices = await asyncio.to_thread(model_choices, self._machine)
        shown = self.query_one(OptionList)
        shown.clear_options()
        shown.add_options([Option(self._row(each), disabled=not each.usable) for each in self._choices])
        names = [each.name for each in self._choices]
        shown.highlighted = names.index(self._current) if self._current in names else 0

    def _row(self, choice: ModelChoice) -> Content:
        mark = "● " if choice.name == self._current else "  "
        return Content.assemble(
            (mark, "$success"),
            (choice.title, "bold"),
            f"  {choice.detail}\n    ",
            (choice.verdict, "$foreground 60%" if choice.usable else "$warning"),
        )

    def _show_job(self) -> None:
        self.query_one("#job", PlainStatic).show(self._job.words)
        if self._job.state is not self._seen:
            self._seen = self._job.state
            if self._seen is JobState.DONE:
                self.run_worker(self._fill(), group="models")

    @on(OptionList.OptionSelected)
    def _take(self, event: OptionList.OptionSelected) -> None:
        choice = self._choices[event.option_index]
        if choice.source:
            self._begin(choice.source)
        else:
            self.dismiss(choice.name)

    @on(Input.Submitted)
    def _convert(self, event: Input.Submitted) -> None:
        self._begin(event.value.strip() or _REAL)

    def _begin(self, source: str) -> None:
        if self._job.state is JobState.RUNNING:
            return
        self.app.run_worker(self._job.run(source), group="convert", exit_on_error=False)  # pyright: ignore[reportUnknownMemberType] - Textual leaves the app's type open

    def action_stop_job(self) -> None:
        """Stop the conversion; the same source resumes it."""
        self._job.stop()
