"""What people do until a screen of the app is there, as the images of it need it."""

from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from textual.command import CommandPalette
from textual.screen import Screen
from textual.widgets import DirectoryTree, Input, OptionList, Static

from magistral_mlx_tui.models.choices import ModelChoice
from magistral_mlx_tui.models.conversion_job import JobState
from magistral_mlx_tui.panes.find_bar import FindBar
from magistral_mlx_tui.screens import models
from magistral_mlx_tui.screens.attached import AttachedScreen
from magistral_mlx_tui.screens.conversations import ConversationsScreen
from magistral_mlx_tui.screens.export import ExportScreen
from magistral_mlx_tui.screens.help import HelpScreen
from magistral_mlx_tui.screens.image_path import ImagePathScreen
from magistral_mlx_tui.screens.one_line import OneLineScreen
from magistral_mlx_tui.screens.settings import SettingsScreen
from support.scene_scripts import FINAL, FULL, QUESTION, keep_conversations, keep_images
from support.terminal_app import Driven


async def _asked(driven: Driven, phase: str) -> None:
    await driven.type(QUESTION)
    await driven.until_phase(phase)


async def _opened(driven: Driven, kind: type[Screen[object]]) -> Screen[object]:
    await driven.until(lambda: isinstance(driven.app.screen, kind))
    return driven.app.screen


async def back(driven: Driven) -> None:
    """Close whatever lies over the chat."""
    while driven.app.screen is not driven.screen:
        shown = driven.app.screen
        await driven.pilot.press("escape")
        await driven.until(lambda shown=shown: driven.app.screen is not shown)  # type: ignore[misc] - bound now


# -- the chat itself ---------------------------------------------------------------------------------------


async def answering(driven: Driven) -> None:
    await _asked(driven, "answering")
    await driven.until(lambda: driven.app.controller.progress == FINAL)
    await driven.until(lambda: "The result is" in driven.answer.plain_text)


async def welcome(driven: Driven) -> None:
    await driven.until(lambda: "ready" in driven.text_of("#welcome-state"))


async def loading(driven: Driven) -> None:
    await driven.until(lambda: "Loading the weights" in driven.text_of("#welcome-state"))


async def source(driven: Driven) -> None:
    await driven.pilot.press("f5")
    await driven.until(lambda: driven.answer.source_shown)


async def zoomed(driven: Driven) -> None:
    await driven.pilot.press("f5")
    await driven.until(lambda: not driven.answer.source_shown)
    await driven.pilot.press("f4")
    await driven.until(lambda: driven.answer.region.width > driven.screen.size.width - 3)


async def searching(driven: Driven) -> None:
    await driven.pilot.press("f4", "f4")
    await driven.type("/find sum")
    await driven.until(lambda: driven.screen.query_one(FindBar).region.height == 1)
    await driven.until(lambda: "reasoning" in driven.text_of("#find-count"))
    driven.screen.prompt.focus()
    await driven.until(lambda: driven.screen.prompt.has_focus)


async def folded(driven: Driven) -> None:
    await driven.pilot.press("ctrl+f", "escape", "ctrl+t")
    await driven.until(lambda: driven.screen.query_one(FindBar).region.height == 0)
    await driven.until(lambda: driven.reasoning.region.height == 0 or driven.screen.size.width < 80)


async def failed(driven: Driven) -> None:
    await _asked(driven, "failed")


async def waiting(driven: Driven) -> None:
    await _asked(driven, "thinking")
    await driven.until(lambda: driven.app.controller.progress == FULL)
    await driven.type("/thinking 500")
    await driven.type("And over half of it?")
    await driven.until(lambda: "queued" in driven.text_of("#status"))


async def paused(driven: Driven) -> None:
    await driven.pilot.press("f11")
    await driven.until_phase("paused")
    dialog = await _opened(driven, OneLineScreen)
    dialog.query_one(Input).value = "Use polar coordinates."


async def stopped(driven: Driven) -> None:
    await back(driven)
    await driven.pilot.press("escape")
    await driven.until_phase("stopped")
    driven.screen.say("")


# -- images ----------------------------------------------------------------------------------------------


async def attached(driven: Driven) -> None:
    await driven.type("What is 47 + 38?")
    await driven.until(lambda: "85" in driven.answer.plain_text)
    await driven.until_phase("ready")
    await driven.screen.verbs.tray.attach(keep_images(Path.home()))
    driven.screen.say("")
    driven.screen.prompt.text = "Which quarter was the best, and\nis the evening as red as it looks?"
    await driven.until(lambda: "2 images" in driven.text_of("#attachments"))


async def images(driven: Driven) -> None:
    await driven.pilot.press("f7")
    await _drawn(driven, await _opened(driven, AttachedScreen))


async def browsing(driven: Driven) -> None:
    await back(driven)
    await driven.pilot.press("ctrl+o")
    dialog = await _opened(driven, ImagePathScreen)
    dialog.query_one("#path", Input).value = "~/Pictures/sales by"
    tree = dialog.query_one(DirectoryTree)
    await driven.until(lambda: len(tree.root.children) > 0)
    folder = next(each for each in tree.root.children if str(each.label) == "Pictures")
    folder.expand()
    await driven.until(lambda: len(folder.children) == 2)
    tree.focus()
    tree.move_cursor(folder.children[1])
    await _drawn(driven, dialog)


async def _drawn(driven: Driven, dialog: Screen[object]) -> None:
    preview = dialog.query_one("#preview-text", Static)
    await driven.until(lambda: "▀" in str(preview.render()))
    await driven.until(lambda: not any(each.group in ("look", "preview") for each in driven.app.workers))


async def reading(driven: Driven) -> None:
    await back(driven)
    await driven.pilot.press("enter")
    await driven.until_phase("reading")
    await driven.until(lambda: driven.app.controller.prefill is not None)


# -- what lies over it -------------------------------------------------------------------------------------


async def helping(driven: Driven) -> None:
    await driven.pilot.press("f1")
    await _opened(driven, HelpScreen)


async def conversations(driven: Driven) -> None:
    await back(driven)
    keep_conversations()
    await driven.type("/resume last")
    await driven.until(lambda: "1.7725" in driven.answer.plain_text)
    await driven.until_phase("ready")
    await driven.type("/sessions")
    dialog = await _opened(driven, ConversationsScreen)
    await driven.until(lambda: dialog.query_one(OptionList).option_count == 4)


async def found(driven: Driven) -> None:
    dialog = driven.app.screen
    dialog.query_one(Input).value = "primes"
    await driven.until(lambda: dialog.query_one(OptionList).option_count == 1)


async def title(driven: Driven) -> None:
    await back(driven)
    await driven.type("/title")
    await _opened(driven, OneLineScreen)


async def exporting(driven: Driven) -> None:
    await back(driven)

    with patch.object(Path, "cwd", lambda: Path.home() / "notes"):
        await driven.type("/export")
        await _opened(driven, ExportScreen)


async def settings(driven: Driven) -> None:
    await back(driven)
    driven.app.settings = replace(driven.app.settings, motion=True)  # as people find it
    await driven.pilot.press("f10")
    await _opened(driven, SettingsScreen)


async def palette(driven: Driven) -> None:
    await back(driven)
    await driven.pilot.press("ctrl+p")
    dialog = await _opened(driven, CommandPalette)
    await driven.until(lambda: dialog.query_one(OptionList).option_count > 20)


async def choosing(driven: Driven) -> None:
    await back(driven)
    job = driven.app.job
    job.source, job.state = "mistralai/Magistral-Small-2509", JobState.RUNNING
    job._lines.append("412 of 585 tensors, 2.1 GB/s, 40 s left")
    choices = [
        _choice("Magistral-Small-2509-4bit", "14.1 GB, 4 bits", "fits, 40,960 tokens of context"),
        _choice(
            "Magistral-Small-2509-8bit",
            "25.9 GB, 8 bits",
            "does not fit: needs 29.4 GB, limit 24.0 GB",
            False,
        ),
        _choice("Magistral-Small-2506", "found in LM Studio", "Enter converts it"),
        _choice("miniature", "bundled", "fits; demo model, not Magistral Small"),
    ]
    with patch.object(models, "model_choices", lambda _machine: choices):
        await driven.pilot.press("f3")
        dialog = await _opened(driven, models.ModelsScreen)
        await driven.until(lambda: dialog.query_one(OptionList).option_count == 4)
        await driven.until(lambda: "tensors" in str(dialog.query_one("#job", Static).render()))


def _choice(name: str, detail: str, verdict: str, usable: bool = True) -> ModelChoice:
    return ModelChoice(name, name, detail, verdict, usable=usable)
