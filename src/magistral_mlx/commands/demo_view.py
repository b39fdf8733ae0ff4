"""Show the demo: reasoning beside answer on a wide terminal, one after the other everywhere else."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from PIL import Image
from rich.color import Color
from rich.style import Style
from rich.text import Text

from magistral_mlx.commands.console import Console
from magistral_mlx.commands.demo_questions import DemoQuestion
from magistral_mlx.events import AnswerText, Event, ReasoningText
from magistral_mlx.sanitize import sanitize

if TYPE_CHECKING:
    from rich.table import Table

WIDE = 100
"""Columns of a terminal from which on reasoning and answer stand side by side."""


class DemoView(Protocol):
    """Shows one question after the other."""

    def begin(self, number: int, question: DemoQuestion, image: Path | None) -> None:
        """Show the question and the image that was drawn for it."""

    def show(self, event: Event) -> None:
        """Show a piece of the reply."""

    def end(self, verdict: str) -> None:
        """End the reply and say what is true."""


class PlainView:
    """Everything in the order in which it comes, for pipes, narrow terminals and screen readers."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._section: type[Event] | None = None

    def begin(self, number: int, question: DemoQuestion, image: Path | None) -> None:
        """Write the question."""
        self._console.heading(f"\n{number}. {question.title}: {question.text}")
        if image:
            self._console.result(f"   Image: {image}\n")
        self._section = None

    def show(self, event: Event) -> None:
        """Write a piece, indented under its heading."""
        if not isinstance(event, ReasoningText | AnswerText):
            return
        if self._section is not type(event):
            heading = "Reasoning" if isinstance(event, ReasoningText) else "Answer"
            self._console.result(f"{'' if self._section is None else chr(10)}   {heading}:\n     ")
            self._section = type(event)
        self._console.result(event.text.replace("\n", "\n     "))

    def end(self, verdict: str) -> None:
        """Write the verdict."""
        self._console.result(f"\n   {verdict}\n")


class ColumnsView:
    """Image, reasoning and answer in columns that fill while the reply streams."""

    def __init__(self, console: Console) -> None:
        from rich.console import Console as RichConsole
        from rich.live import Live

        self._console = console
        self._rich = RichConsole(file=console.out, markup=False, highlight=False, emoji=False)
        self._live: Live | None = None
        self._image: Text | None = None
        self._reasoning = ""
        self._answer = ""

    def begin(self, number: int, question: DemoQuestion, image: Path | None) -> None:
        """Show the question and open the columns."""
        from rich.live import Live

        self._image = half_blocks(image) if image else None
        self._reasoning = self._answer = ""
        self._console.heading(f"\n{number}. {question.title}: {question.text}")
        self._live = Live(self._columns(), console=self._rich, refresh_per_second=12)
        self._live.start()

    def show(self, event: Event) -> None:
        """Add a piece to its column."""
        match event:
            case ReasoningText(text=text):
                self._reasoning += sanitize(text)
            case AnswerText(text=text):
                self._answer += sanitize(text)
            case _:
                return
        if self._live:
            self._live.update(self._columns())

    def end(self, verdict: str) -> None:
        """Close the columns and show the verdict."""
        if self._live:
            self._live.stop()
        self._console.result(f"  {verdict}\n")

    def _columns(self) -> "Table":
        from rich.table import Table
        from rich.text import Text

        columns = Table(box=None, expand=True, padding=(0, 2, 0, 2), header_style="dim")
        cells: list[Text] = []
        if self._image is not None:
            columns.add_column("Image", no_wrap=True, width=len(self._image.plain.splitlines()[0]))
            cells.append(self._image)
        columns.add_column("Reasoning", ratio=1)
        columns.add_column("Answer", ratio=1)
        columns.add_row(*cells, Text(self._reasoning, style="dim"), Text(self._answer))
        return columns


SHRINK = 4
"""Pixels of the image per pixel of the text, in each direction."""


def half_blocks(path: Path) -> Text:
    """Return the image at `path`, shrunk, as coloured lines of one length."""
    with Image.open(path) as image:
        small = image.convert("RGB").reduce(SHRINK)
    data = small.tobytes()
    colours = [Color.from_rgb(*data[start : start + 3]) for start in range(0, len(data), 3)]
    rows = [colours[start : start + small.width] for start in range(0, len(colours), small.width)]
    lines: list[Text] = []
    for upper, lower in zip(rows[::2], rows[1::2], strict=False):
        pairs = zip(upper, lower, strict=True)
        lines.append(Text.assemble(*(("▀", Style(color=above, bgcolor=below)) for above, below in pairs)))
    return Text("\n").join(lines)
