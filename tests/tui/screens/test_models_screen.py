"""The models that are there, with a verdict, switching between them, and a conversion in the background."""

from pathlib import Path

import pytest
from textual.widgets import Input, OptionList

from magistral_mlx.checkpoint.installed import miniature_folder
from magistral_mlx.memory.sizes import Machine
from magistral_mlx.storage.paths import models_directory
from magistral_mlx_tui.models.choices import model_choices
from magistral_mlx_tui.models.conversion_job import ConversionJob, JobState
from magistral_mlx_tui.screens.models import ModelsScreen
from support.terminal_app import driven_app

_GB = 2**30


@pytest.fixture
def installed_one() -> Path:
    """The miniature under another name, as an installed model, beside a broken folder."""
    models_directory().mkdir(parents=True)
    broken = models_directory() / "broken"
    broken.mkdir()
    for name in ("config.json", "tekken.json"):
        (broken / name).write_text("{}")
    (models_directory() / "small").symlink_to(miniature_folder())
    return models_directory()


def test_each_model_has_a_verdict(installed_one: Path) -> None:
    roomy, cramped = Machine(total_bytes=32 * _GB, available_bytes=16 * _GB), Machine(total_bytes=1000)
    broken, small, miniature = model_choices(roomy)
    assert (broken.usable, small.usable, miniature.usable) == (False, True, True)
    assert small.verdict == "fits, 4,096 tokens of context"
    assert "demo model" in miniature.verdict
    assert model_choices(cramped)[1].verdict.startswith("does not fit: needs ")
    tight = Machine(total_bytes=32 * _GB, available_bytes=1000)
    assert model_choices(tight)[1].verdict.startswith("tight: only 1000 B is free")


async def test_the_screen_gives_the_name_of_the_chosen_model(installed_one: Path) -> None:
    async with driven_app() as app:
        taken: list[str | None] = []
        screen = ModelsScreen("miniature", Machine(total_bytes=32 * _GB), ConversionJob(lambda: None))
        await app.app.push_screen(screen, taken.append)
        choices = screen.query_one(OptionList)
        await app.until(lambda: choices.option_count == 3 and choices.highlighted == 2)
        await app.pilot.press("up", "enter")
        await app.until(lambda: taken == ["small"])


async def test_a_conversion_goes_on_without_the_screen() -> None:
    async with driven_app() as app:
        job = ConversionJob(
            app.screen.refresh, command=lambda source: ("/bin/sh", "-c", f"echo got {source} >&2")
        )
        screen = ModelsScreen(None, Machine(), job)
        await app.app.push_screen(screen)
        screen.query_one(Input).value = "some/model"
        screen.query_one(Input).focus()
        await app.pilot.press("enter")
        await app.pilot.press("escape")
        await app.until(lambda: job.state is JobState.DONE)
        assert job.words == "model-4bit converted: F3 and Enter switch to it"


async def test_a_key_opens_the_models_and_switching_starts_the_engine_with_the_other_one(
    installed_one: Path,
) -> None:
    async with driven_app() as app:
        await app.pilot.press("f3")
        await app.until(lambda: isinstance(app.app.screen, ModelsScreen))
        choices = app.app.screen.query_one(OptionList)
        await app.until(lambda: choices.option_count == 3 and choices.highlighted == 2)
        await app.pilot.press("up", "enter")
        await app.until(lambda: app.engine.started[-1] == "small")
        await app.until_phase("ready")


async def test_a_model_of_another_program_is_offered_for_conversion() -> None:
    model = Path.home() / ".lmstudio" / "models" / "lmstudio-community" / "Magistral-Small-2509-MLX-4bit"
    model.mkdir(parents=True)
    (model / "model.safetensors").write_bytes(b"")
    found, _miniature = model_choices(Machine())
    assert found.source == "lmstudio-community/Magistral-Small-2509-MLX-4bit"
    assert found.detail == "found in LM Studio's folder"
    async with driven_app() as app:
        job = ConversionJob(lambda: None, command=lambda source: ("/bin/sh", "-c", f"echo got {source} >&2"))
        screen = ModelsScreen(None, Machine(), job)
        await app.app.push_screen(screen)
        await app.until(lambda: screen.query_one(OptionList).option_count == 2)
        await app.pilot.press("enter")
        await app.until(lambda: job.state is JobState.DONE)
        assert job.source == "lmstudio-community/Magistral-Small-2509-MLX-4bit"
