"""`magistral demo`: everything once, for real, on the bundled miniature.

It converts the miniature (the first time only), draws questions and images, streams reasoning and answers,
and checks every answer against what it drew. Nothing is prepared: with another seed the questions are others.
Exit code 1 when most answers are wrong.
"""

import argparse
import random
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from magistral_mlx.commands.arguments import whole_number
from magistral_mlx.commands.console import Console
from magistral_mlx.commands.streaming import follow_with, load_model
from magistral_mlx.errors import MagistralError
from magistral_mlx.events import Ending, Reply
from magistral_mlx.storage import paths

if TYPE_CHECKING:
    from magistral_mlx.api.model import Magistral
    from magistral_mlx.commands.demo_questions import DemoQuestion
    from magistral_mlx.commands.demo_view import DemoView
    from magistral_mlx.miniature.images import BarChart, Grid

SUMMARY = "see everything work in a minute, on the bundled miniature"

HUB_ID = "mistralai/Magistral-Small-2509"


@dataclass(frozen=True)
class Outcome:
    """One question of the demo and its reply."""

    question: "DemoQuestion"
    reply: Reply

    @property
    def right(self) -> bool:
        """Tell whether the answer is right."""
        return self.reply.ending is Ending.COMPLETE and self.question.is_right(self.reply.answer)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `magistral demo`."""
    parser.add_argument(
        "--seed", type=whole_number, metavar="N", help="draw the same questions and images again"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; 0 when most answers are right, 130 after Ctrl-C."""
    console = Console.standard()
    seed = random.SystemRandom().randrange(10_000) if arguments.seed is None else arguments.seed
    model = load_model("miniature", console=console)
    console.result(_greeting(model, seed))
    outcomes = _ask_all(model, seed, console)
    console.result(_summary(outcomes))
    if outcomes and outcomes[-1].reply.ending is Ending.STOPPED:
        console.note("Stopped.")
        return 130
    console.result(_what_next())
    return 0 if 2 * sum(outcome.right for outcome in outcomes) >= len(outcomes) else 1


def _ask_all(model: "Magistral", seed: int, console: Console) -> list[Outcome]:
    from magistral_mlx.commands.demo_questions import draw_questions

    rng = random.Random(seed)
    questions = draw_questions(rng)
    images = _draw_images(questions, rng, paths.data_directory() / "demo" / f"seed-{seed}")
    view = _view(console)
    outcomes: list[Outcome] = []
    for number, question in enumerate(questions, start=1):
        outcome = _ask(model, number, question, images.get(question.image), view)
        outcomes.append(outcome)
        if outcome.reply.ending is Ending.STOPPED:
            break
    return outcomes


def _ask(
    model: "Magistral", number: int, question: "DemoQuestion", image: Path | None, view: "DemoView"
) -> Outcome:
    view.begin(number, question, image)
    events = model.stream(question.text, images=[image] if image else [], temperature=0.0)
    verdict = "No answer."
    try:
        outcome = Outcome(question, follow_with(events, view.show))
        verdict = _verdict(outcome)
        return outcome
    finally:
        view.end(verdict)


def _draw_images(
    questions: Sequence["DemoQuestion"], rng: random.Random, folder: Path
) -> dict["Grid | BarChart | None", Path]:
    """Draw every image that is asked about once; the files stay, so that people can look at them."""
    from magistral_mlx.miniature.images import draw

    try:
        folder.mkdir(parents=True, exist_ok=True)
        drawn: dict[Grid | BarChart | None, Path] = {}
        for question in questions:
            if question.image and question.image not in drawn:
                path = folder / f"{type(question.image).__name__.lower()}.png"
                draw(question.image, rng).save(path)
                drawn[question.image] = path
    except OSError as error:
        raise MagistralError(
            f"The images cannot be written to {folder}: {error.strerror}",
            "Free space there, or set MAGISTRAL_MLX_HOME to another folder.",
        ) from error
    return drawn


def _view(console: Console) -> "DemoView":
    from magistral_mlx.commands.demo_view import WIDE, ColumnsView, PlainView

    wide = shutil.get_terminal_size().columns >= WIDE
    return ColumnsView(console) if console.shows_colour() and wide else PlainView(console)


def _verdict(outcome: Outcome) -> str:
    if outcome.right:
        return f"Right: {outcome.question.truth}."
    if outcome.reply.ending is Ending.STOPPED:
        return "Stopped."
    if outcome.reply.ending is not Ending.COMPLETE:
        return f"Wrong: the reply ended as {outcome.reply.ending.value}; right is {outcome.question.truth}."
    return f"Wrong; right is {outcome.question.truth}."


def _greeting(model: "Magistral", seed: int) -> str:
    return (
        f"This is {model.name}: a few million parameters built as Magistral Small is, trained to show\n"
        "that everything here works. Questions and images are drawn at random; to draw these again:\n"
        f"    magistral demo --seed {seed}\n"
    )


def _summary(outcomes: Sequence[Outcome]) -> str:
    import statistics

    from magistral_mlx.storage.units import format_memory

    stats = [outcome.reply.stats for outcome in outcomes]
    right = sum(outcome.right for outcome in outcomes)
    tokens = sum(each.reasoning_tokens + each.answer_tokens for each in stats)
    rates = [each.decode_tokens_per_second for each in stats if each.decode_tokens_per_second]
    waits = [each.time_to_first_token for each in stats if each.time_to_first_token]
    lines = [
        f"{right} of {len(outcomes)} right.",
        f"{tokens} tokens generated" + (f" at {statistics.median(rates):.0f} tokens/s" if rates else ""),
    ]
    if waits:
        lines[-1] += f", the first one after {statistics.median(waits):.2f} s (medians)"
    lines.append(f"Peak memory {format_memory(max(each.peak_memory_bytes for each in stats))}.")
    return "\n" + "\n".join(lines) + "\n"


def _what_next() -> str:
    from magistral_mlx.memory.sizes import (
        MAGISTRAL_SMALL_4BIT,
        MAGISTRAL_SMALL_DISK,
        MAGISTRAL_SMALL_DOWNLOAD,
    )
    from magistral_mlx.storage.units import GIB, format_about, format_disk, format_installed

    target = paths.models_directory() / "magistral-small-4bit"
    least, comfortable = (format_installed(size * GIB) for size in (24, 32))
    fetched, disk = format_about(MAGISTRAL_SMALL_DOWNLOAD), format_about(MAGISTRAL_SMALL_DISK)
    written = format_disk(MAGISTRAL_SMALL_4BIT.weight_bytes)
    return f"""
Open the app:
    magistral

Get the real model (24 billion parameters). It needs a Mac with {least} of memory, better {comfortable}:
    magistral convert {HUB_ID} --to {shlex.quote(str(target))}
It downloads {fetched} from the Hugging Face hub and writes {written}. {disk} of disk must be free:
each downloaded file is deleted after its conversion. The download takes about an hour at 100 Mbit/s,
the conversion a few minutes.
"""
