"""Attached images: their price before sending, looking at them, their order; browsing with a preview."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from textual import events
from textual.widgets import DirectoryTree, OptionList

from magistral_mlx.engine.protocol import Answer, Prefill, Ready
from magistral_mlx.prompt.images import ImageGeometry
from magistral_mlx_tui.attachments.cost import image_cost
from magistral_mlx_tui.screens.attached import AttachedScreen
from magistral_mlx_tui.screens.image_path import ImagePathScreen
from support.fake_engine import MODEL, ScriptedEngine
from support.terminal_app import driven_app

_SEEING = replace(MODEL, geometry=ImageGeometry(14, 2, 1540))


def image(folder: Path, name: str, size: tuple[int, int] = (280, 140), colour: str = "blue") -> Path:
    Image.new("RGB", size, colour).save(folder / name)
    return folder / name


def seeing_engine() -> ScriptedEngine:
    return ScriptedEngine(turns=[[Answer("x", 1)]], loading=(Ready(_SEEING),))


def test_the_price_is_that_of_the_resized_image() -> None:
    cost = image_cost((4000, 2000), _SEEING, reading_speed=100.0)
    assert cost is not None
    assert (cost.width, cost.height, cost.tokens) == (1540, 784, 28 * 56)
    assert cost.words == "1,568 tokens, scaled to 1540×784, needs 1.5 MiB, about 15.7 s to read"
    assert image_cost(None, _SEEING, reading_speed=None) is None
    assert image_cost((10, 10), MODEL, reading_speed=None) is None


async def test_the_row_of_an_image_names_its_price_and_several_have_a_sum(tmp_path: Path) -> None:
    async with driven_app(engine=seeing_engine(), size=(160, 40)) as app:
        app.screen.attach(str(image(tmp_path, "a.png")))
        await app.until(lambda: "55 tokens, scaled to 280×140" in app.text_of("#attachments"))
        app.screen.attach(str(image(tmp_path, "b.png")))
        await app.until(lambda: "2 images, 110 tokens" in app.text_of("#attachments"))


async def test_images_can_be_looked_at_moved_and_removed(tmp_path: Path) -> None:
    async with driven_app(engine=seeing_engine()) as app:
        await app.pilot.press("f7")
        await app.until(lambda: "No image is attached" in app.text_of("#status"))
        files = [image(tmp_path, name) for name in ("a.png", "b.png", "c.png")]
        await app.screen.verbs.tray.attach(files)
        await app.pilot.press("f7")
        await app.until(lambda: isinstance(app.app.screen, AttachedScreen))
        preview = app.app.screen.query_one("#preview-text")
        await app.until(lambda: "▀" in str(preview.render()) and "55 tokens" in str(preview.render()))
        await app.pilot.press("right_square_bracket", "right_square_bracket", "right_square_bracket")
        await app.until(lambda: app.app.screen.query_one(OptionList).highlighted == 2)
        assert [each.name for each in app.screen.verbs.tray.images] == ["b.png", "c.png", "a.png"]
        await app.pilot.press("delete")
        assert [each.name for each in app.screen.verbs.tray.images] == ["b.png", "c.png"]
        await app.pilot.press("delete", "delete")
        await app.until(lambda: not isinstance(app.app.screen, AttachedScreen))
        assert app.screen.verbs.tray.images == []


async def test_the_tree_shows_folders_and_images_only_and_attaches(tmp_path: Path) -> None:
    image(tmp_path, "chart.png", colour="red")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "folder").mkdir()
    (tmp_path / "evil\x1b[2J.png").write_bytes(b"x")
    async with driven_app(engine=seeing_engine()) as app:
        taken: list[str | None] = []
        await app.app.push_screen(ImagePathScreen(folder=tmp_path), taken.append)
        await app.until(lambda: isinstance(app.app.screen, ImagePathScreen))
        tree = app.app.screen.query_one(DirectoryTree)
        await app.until(lambda: len(tree.root.children) == 2)
        tree.focus()
        await app.pilot.press("down", "down")
        preview = app.app.screen.query_one("#preview-text")
        await app.until(lambda: "▀" in str(preview.render()) and "chart.png" in str(preview.render()))
        await app.pilot.press("enter")
        await app.until(lambda: taken == [str(tmp_path / "chart.png")])


async def test_an_empty_paste_and_a_key_look_at_the_clipboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pasted(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        return image(folder, "clip.png")

    monkeypatch.setattr("magistral_mlx_tui.conversation.attachment_tray.clipboard_image", pasted)
    async with driven_app(engine=seeing_engine()) as app:
        await app.pilot.press("ctrl+v")
        await app.until(lambda: len(app.screen.verbs.tray.images) == 1)
        app.screen.prompt.post_message(events.Paste(""))
        await app.until(lambda: len(app.screen.verbs.tray.images) == 2)
        assert not (app.screen.verbs.tray.images[0].kept.parent / "pasted" / "clip.png").exists()


async def test_the_time_to_read_is_told_once_it_was_measured(tmp_path: Path) -> None:
    engine = ScriptedEngine(
        turns=[[Prefill(0, 500), Prefill(500, 500), Answer("x", 1)]], loading=(Ready(_SEEING),)
    )
    async with driven_app(engine=engine, size=(160, 40)) as app:
        await app.type("?")
        await app.until_phase("ready")
        app.screen.controller.turns[-1].reading_speed = 50.0
        app.screen.attach(str(image(tmp_path, "a.png")))
        await app.until(lambda: "about 1.1 s to read" in app.text_of("#attachments"))


async def test_a_home_of_nobody_is_no_image_and_no_crash() -> None:
    async with driven_app(engine=seeing_engine()) as app:
        await app.type("/image ~nobody-of-this-name/a.png")
        await app.until(lambda: "a.png" in app.text_of("#status"))
        await app.pilot.press("ctrl+o")
        await app.until(lambda: isinstance(app.app.screen, ImagePathScreen))
        await app.pilot.press(*"~nobody", "slash", "a")
        await app.pilot.press("escape")
        await app.until(lambda: app.app.screen is app.screen)
