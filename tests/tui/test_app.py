"""Each behaviour of the app, driven by keys on a scripted engine."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from textual import events
from textual.screen import Screen
from textual.widgets import Input

from magistral_mlx.engine.protocol import (
    Answer,
    EngineModel,
    Failed,
    Loading,
    Prefill,
    Progress,
    Ready,
    Reasoning,
)
from magistral_mlx.events import Ending
from magistral_mlx.machine.telemetry import Telemetry
from magistral_mlx_tui.screens.help import HelpScreen
from magistral_mlx_tui.screens.image_path import ImagePathScreen, PathSuggester
from magistral_mlx_tui.screens.models import ModelsScreen
from magistral_mlx_tui.screens.settings import SettingsScreen
from support.fake_engine import MODEL, Die, Pause, ScriptedEngine, Stall, Step, done
from support.terminal_app import GatedEngine, driven_app

_GB = 2**30
_THOUGHT: list[Step] = [Prefill(0, 9), Prefill(9, 9), Reasoning("Units: 7 + 5 = **12**.", 9)]


def image(folder: Path, name: str = "chart.png") -> Path:
    Image.new("RGB", (64, 48), "blue").save(folder / name)
    return folder / name


async def test_reasoning_and_answer_stand_side_by_side() -> None:
    async with driven_app([*_THOUGHT, Answer("It is **12**.", 5)]) as app:
        await app.type("What is 7 + 5?")
        await app.until(lambda: "It is 12." in app.answer.plain_text)
        await app.until_phase("ready")
        assert "❯ What is 7 + 5?" in app.reasoning.plain_text
        assert "Units: 7 + 5 = 12." in app.reasoning.plain_text
        assert "thought for" in app.reasoning.plain_text
        assert "❯ What is 7 + 5?" in app.answer.plain_text
        assert app.reasoning.region.y == app.answer.region.y
        assert app.screen.prompt.text == ""
        assert app.engine.requests[0].text == "What is 7 + 5?"


@pytest.mark.parametrize(("size", "stacked"), [((120, 30), False), ((100, 30), True)])
async def test_the_width_decides_the_layout_and_a_key_the_other_one(
    size: tuple[int, int], stacked: bool
) -> None:
    async with driven_app([Answer("x", 1)], size=size) as app:
        await app.type("q")
        await app.until(lambda: app.answer.region.height > 0)
        assert (app.reasoning.region.y < app.answer.region.y) is stacked
        await app.pilot.press("f6")
        await app.until(lambda: (app.reasoning.region.y < app.answer.region.y) is not stacked)


async def test_a_narrow_screen_shows_one_pane_and_switches() -> None:
    engine = GatedEngine(turns=[[*_THOUGHT, Pause(0), Answer("12", 1)]])
    async with driven_app(engine=engine, size=(60, 24)) as app:
        await app.type("q")
        await app.until(lambda: app.reasoning.display and app.reasoning.region.height > 0)
        assert app.answer.region.height == 0
        engine.gate.set()
        await app.until(lambda: app.answer.region.height > 0)
        assert app.reasoning.region.height == 0
        await app.pilot.press("ctrl+t")
        await app.until(lambda: app.reasoning.region.height > 0)


async def test_resizing_keeps_everything_and_wraps_anew() -> None:
    words = " ".join(f"word{number}" for number in range(80))
    async with driven_app([Answer(words, 80)]) as app:
        await app.type("q")
        await app.until_phase("ready")
        for size in ((60, 24), (100, 30), (200, 50), (20, 8), (140, 40)):
            await app.pilot.resize_terminal(*size)
            await app.pilot.pause(0.1)
            assert app.answer.plain_text.replace("\n", " ").split()[2:] == words.split()
        assert app.answer.text_width > 40


async def test_the_end_is_followed_until_one_scrolls_away() -> None:
    first: list[Step] = [Answer("".join(f"line {number}\n" for number in range(200)), 200)]
    later: list[Step] = [Pause(0), Answer("".join(f"more {number}\n" for number in range(50)), 50)]
    engine = GatedEngine(turns=[[*first, *later]])
    async with driven_app(engine=engine) as app:
        await app.type("q")
        await app.until(lambda: "line 199" in app.answer.plain_text)
        assert app.answer.following
        assert app.answer.scroll_offset.y == app.answer.max_scroll_y > 0
        app.answer.scroll_page_up(animate=False)
        await app.pilot.pause()
        assert not app.answer.following
        position = app.answer.scroll_offset.y
        engine.gate.set()
        await app.until(lambda: "more 49" in app.answer.plain_text)
        assert app.answer.scroll_offset.y == position
        assert "new text below" in str(app.answer.border_subtitle)
        await app.pilot.press("ctrl+end")
        assert app.answer.following
        assert app.answer.scroll_offset.y == app.answer.max_scroll_y


async def test_page_keys_scroll_back_from_the_prompt() -> None:
    async with driven_app([Answer("\n".join(map(str, range(200))), 200)]) as app:
        await app.type("q")
        await app.until_phase("ready")
        await app.until(lambda: app.answer.scroll_offset.y == app.answer.max_scroll_y > 100)
        bottom = app.answer.scroll_offset.y
        await app.pilot.press("pageup")
        await app.until(lambda: app.answer.scroll_offset.y < bottom)
        await app.pilot.press("pagedown")
        await app.until(lambda: app.answer.scroll_offset.y == bottom)


async def test_escape_stops_and_keeps_what_came() -> None:
    async with driven_app([*_THOUGHT, Stall()]) as app:
        await app.type("q")
        await app.until_phase("thinking")
        await app.pilot.press("escape")
        await app.until_phase("stopped")
        assert "7 + 5 = 12" in app.reasoning.plain_text
        assert "Everything so far is kept" in app.answer.plain_text


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (Ending.CUT_IN_REASONING, "no answer yet"),
        (Ending.CUT_IN_ANSWER, "token limit in the answer"),
        (Ending.LOOP, "repeated"),
    ],
)
async def test_endings_are_told_honestly(ending: Ending, words: str) -> None:
    async with driven_app([*_THOUGHT, done("", ending=ending)]) as app:
        await app.type("q")
        await app.until(lambda: words in app.answer.plain_text)


async def test_one_may_type_while_the_model_loads() -> None:
    engine = GatedEngine(
        turns=[[Answer("at last", 2)]],
        loading=(Loading("Converting the miniature", 1, 4), Pause(0), Ready(MODEL)),
    )
    async with driven_app(engine=engine, ready=False) as app:
        await app.until(lambda: "Converting the miniature" in app.text_of("#welcome-state"))
        assert "25%" in app.text_of("#welcome-state")
        assert app.text_of("#header").rstrip().endswith("loading")
        await app.type("early question")
        await app.until(lambda: "1 queued" in app.text_of("#status"))
        engine.gate.set()
        await app.until(lambda: "at last" in app.answer.plain_text)


async def test_escape_brings_a_waiting_question_back_into_the_prompt() -> None:
    engine = GatedEngine(loading=(Loading("x"), Pause(0), Ready(MODEL)))
    async with driven_app(engine=engine, ready=False) as app:
        await app.type("early question")
        await app.until(lambda: "1 queued" in app.text_of("#status"))
        await app.pilot.press("escape")
        await app.until(lambda: app.screen.prompt.text == "early question")


async def test_the_miniature_is_named_in_a_banner_and_the_real_model_is_not() -> None:
    async with driven_app() as app:
        assert "MINIATURE" in app.text_of("#miniature-note")
        assert app.screen.query_one("#miniature-note").region.height == 1
    real = EngineModel("Magistral-Small-2509-4bit", "/m", False, 40960, "4-bit affine, group 64", True)
    async with driven_app(engine=ScriptedEngine(loading=(Ready(real),))) as app:
        assert app.screen.query_one("#miniature-note").region.height == 0
        assert "Magistral-Small-2509-4bit" in app.text_of("#header")
        assert "40,960 tokens" in app.text_of("#header")


async def test_gauges_show_memory_speed_and_context() -> None:
    telemetry = Telemetry(
        active_bytes=14 * _GB, cache_bytes=_GB, peak_bytes=16 * _GB, recommended_bytes=24 * _GB
    )
    measured = Progress(telemetry, 31.2, 30.1, 0.84, 2114, 40960)
    async with driven_app([measured, Answer("x", 1), Stall()]) as app:
        await app.type("q")
        await app.until_phase("answering")
        await app.until(lambda: "31.2 tok/s" in app.text_of("#speed"))
        assert "active 14.0 cache 1.0 peak 16.0" in app.text_of("#memory")
        assert app.screen.query_one("#memory").border_title == "Memory · limit 24.0 GiB"
        assert "average 30.1" in app.text_of("#speed")
        assert "2,114 / 40,960" in app.text_of("#context")
        await app.pilot.resize_terminal(60, 24)
        await app.until(lambda: "31.2 tok/s" in app.text_of("#all-gauges"))
        assert "memory 14.0 GiB · limit 24.0 GiB" in app.text_of("#all-gauges")


async def test_images_are_attached_by_command_paste_and_dialog(tmp_path: Path) -> None:
    one, two, three = (image(tmp_path, name) for name in ("one.png", "two words.png", "three.png"))
    async with driven_app([Answer("seen", 1)]) as app:
        await app.type(f"/image {one}")
        await app.until(lambda: len(app.screen.verbs.tray.images) == 1)
        app.app.post_message(events.Paste(str(two).replace(" ", r"\ ")))
        await app.until(lambda: len(app.screen.verbs.tray.images) == 2)
        assert app.screen.prompt.text == ""
        await app.pilot.press("ctrl+o")
        await app.until(lambda: isinstance(app.app.screen, ImagePathScreen))
        app.app.screen.query_one(Input).value = three.as_uri()
        await app.pilot.press("enter")
        await app.until(lambda: len(app.screen.verbs.tray.images) == 3)
        await app.until(lambda: "three.png  64×48" in app.text_of("#attachments"))
        await app.pilot.press("backspace")
        await app.until(lambda: len(app.screen.verbs.tray.images) == 2)
        for path in (one, two, three):
            path.unlink()
        await app.type("How many?")
        await app.until_phase("ready")
        await app.until(lambda: "▣ two words.png" in app.answer.plain_text)
        assert [Path(path).read_bytes()[:4] for path in app.engine.requests[0].images] == [b"\x89PNG"] * 2
        assert app.screen.query_one("#attachments").region.height == 0


async def test_a_path_that_is_sent_becomes_an_image_and_other_pastes_stay_text(tmp_path: Path) -> None:
    async with driven_app() as app:
        await app.type(str(image(tmp_path)))
        await app.until(lambda: len(app.screen.verbs.tray.images) == 1)
        app.app.post_message(events.Paste("some text\nin two lines"))
        await app.until(lambda: app.screen.prompt.text == "some text\nin two lines")


async def test_what_is_not_an_image_is_refused_in_a_clear_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("text")
    async with driven_app() as app:
        await app.type(f"/image {tmp_path / 'notes.txt'}")
        await app.until(lambda: "notes.txt is not an image" in app.text_of("#status"))
        await app.type("/image /no/such.png")
        await app.until(lambda: "There is no file /no/such.png" in app.text_of("#status"))
        assert app.screen.verbs.tray.images == []


async def test_a_model_without_vision_takes_no_images(tmp_path: Path) -> None:
    blind = EngineModel("blind", "/m", False, 100, None, False)
    async with driven_app(engine=ScriptedEngine(loading=(Ready(blind),))) as app:
        await app.type(f"/image {image(tmp_path)}")
        await app.until(lambda: "blind takes no images" in app.text_of("#status"))


async def test_ctrl_j_begins_a_new_line_and_enter_sends() -> None:
    async with driven_app([Answer("x", 1)]) as app:
        await app.pilot.press("a", "ctrl+j", "b", "enter")
        await app.until(lambda: bool(app.engine.requests))
        assert app.engine.requests[0].text == "a\nb"


async def test_an_empty_question_is_not_sent() -> None:
    async with driven_app() as app:
        await app.type("  \n ")
        await app.pilot.pause(0.1)
        assert app.engine.requests == []


async def test_a_new_conversation_clears_both_panes() -> None:
    async with driven_app([*_THOUGHT, Answer("old", 1)], [Answer("fresh", 1)]) as app:
        await app.type("first")
        await app.until_phase("ready")
        await app.pilot.press("ctrl+n")
        await app.until(lambda: app.screen.query_one("#welcome").region.height > 0)
        assert app.engine.calls[-1] == "new_conversation"
        await app.type("second")
        await app.until(lambda: "fresh" in app.answer.plain_text)
        assert "old" not in app.answer.plain_text
        assert "first" not in app.reasoning.plain_text


async def test_earlier_turns_stay_above() -> None:
    async with driven_app([Answer("one", 1)], [Answer("two", 1)]) as app:
        for question in ("first", "second"):
            await app.type(question)
            await app.until_phase("ready")
            await app.until(lambda question=question: question in app.answer.plain_text)  # type: ignore[misc]
        await app.until(lambda: "two" in app.answer.plain_text)
        shown = [line.strip() for line in app.answer.plain_text.split("\n") if line.strip()]
        assert shown == ["❯ first", "one", "❯ second", "two"]


async def test_a_refused_question_is_explained_and_the_app_goes_on() -> None:
    async with driven_app(
        [Failed("The prompt is too long", "Shorten it.", log="/logs/e.log")], [Answer("ok", 1)]
    ) as app:
        await app.type("q")
        await app.until_phase("failed")
        panel = app.text_of("#failure")
        assert "The prompt is too long" in panel
        assert "Shorten it." in panel
        assert "/logs/e.log" in panel
        await app.pilot.press("escape")
        await app.until(lambda: app.screen.query_one("#failure").region.height == 0)
        await app.type("again")
        await app.until(lambda: "ok" in app.answer.plain_text)


async def test_a_dead_engine_is_explained_and_started_again() -> None:
    async with driven_app([*_THOUGHT, Die(log="/logs/e.log")], [Answer("back", 1)]) as app:
        await app.type("q")
        await app.until_phase("failed")
        assert "killed by SIGKILL" in app.text_of("#failure")
        assert "7 + 5 = 12" in app.reasoning.plain_text
        await app.pilot.press("ctrl+r")
        await app.until_phase("ready")
        assert app.screen.query_one("#failure").region.height == 0
        await app.type("again")
        await app.until(lambda: "back" in app.answer.plain_text)
        (turn,) = app.engine.opened[0][0]
        assert (turn.question, turn.reasoning) == ("q", "Units: 7 + 5 = **12**.")


async def test_r_restarts_while_the_failure_has_the_focus() -> None:
    async with driven_app([Die()]) as app:
        await app.type("q")
        await app.until_phase("failed")
        await app.until(lambda: app.screen.query_one("#failure").has_focus)
        await app.pilot.press("r")
        await app.until_phase("ready")
        assert app.screen.prompt.has_focus


async def test_a_failure_does_not_take_the_focus_from_what_is_being_typed() -> None:
    async with driven_app() as app:
        await app.pilot.press("h", "i")
        app.engine.die()
        await app.until_phase("failed")
        await app.pilot.press("r")
        assert app.screen.prompt.text == "hir"


async def test_help_lists_everything_and_closes() -> None:
    async with driven_app() as app:
        await app.pilot.press("f1")
        await app.until(lambda: isinstance(app.app.screen, HelpScreen))
        shown = " ".join(str(widget.render()) for widget in app.app.screen.query("PlainStatic"))
        for word in ("ctrl+o", "/remove-image", "magistral convert mistralai/Magistral-Small-2509"):
            assert word in shown
        await app.pilot.press("escape")
        await app.until(lambda: app.app.screen is app.screen)


async def test_unknown_slash_commands_are_not_sent() -> None:
    async with driven_app() as app:
        await app.type("/nonsense")
        await app.until(lambda: "no command /nonsense" in app.text_of("#status"))
        assert app.screen.prompt.text == "/nonsense"
        assert app.engine.requests == []


async def test_themes_by_key_and_by_name() -> None:
    async with driven_app() as app:
        await app.pilot.press("f9")
        assert app.app.theme == "magistral-light"
        await app.type("/theme ansi")
        await app.until(lambda: app.app.theme == "ansi-dark")
        await app.type("/theme pink")
        await app.until(lambda: "no theme pink" in app.text_of("#status"))


async def test_the_answer_is_copied_as_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # no pbcopy
    async with driven_app([Answer("It is **12**.", 5)]) as app:
        await app.pilot.press("ctrl+y")
        await app.until(lambda: "no answer to copy" in app.text_of("#status"))
        await app.type("q")
        await app.until_phase("ready")
        await app.pilot.press("ctrl+y")
        assert app.app.clipboard == "It is **12**."


async def test_quitting_closes_the_engine_also_in_mid_answer() -> None:
    async with driven_app([*_THOUGHT, Stall()]) as app:
        await app.type("q")
        await app.until_phase("thinking")
        await app.pilot.press("ctrl+q")
        await app.until(lambda: app.engine.calls[-1] == "close")
    assert app.app.return_code == 0


async def test_the_palette_offers_the_same_commands() -> None:
    async with driven_app() as app:
        offered = {command.title for command in app.app.get_system_commands(app.screen)}
        assert {"New", "Attach", "Restart", "Quit"} <= offered


async def test_paths_are_completed_from_the_folder(tmp_path: Path) -> None:
    image(tmp_path, "chart.png")
    suggester = PathSuggester()
    assert await suggester.get_suggestion(f"{tmp_path}/ch") == f"{tmp_path}/chart.png"
    assert await suggester.get_suggestion(f"{tmp_path}/zz") is None
    assert await suggester.get_suggestion("/no/such/folder/x") is None
    assert await suggester.get_suggestion(f"{tmp_path}/") is None


async def test_a_failure_can_be_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []

    def copy(_app: object, text: str) -> str:
        copied.append(text)
        return "Copied."

    monkeypatch.setattr("magistral_mlx_tui.screens.chat.copy_text", copy)
    async with driven_app([Failed("It broke", "Mend it.", log="/logs/x.log")]) as app:
        await app.type("?")
        await app.until(lambda: app.screen.query_one("#failure").has_focus)
        await app.pilot.press("c")
        await app.until(lambda: copied == ["It broke\nMend it.\nLog: /logs/x.log"])


async def test_beside_the_miniature_the_welcome_offers_ways_to_a_model() -> None:
    async with driven_app() as app:
        await app.until(lambda: "Choose a model" in app.text_of("#ways"))
        assert app.screen.query_one("#ways").display
    real = replace(MODEL, is_miniature=False)
    async with driven_app(engine=ScriptedEngine(loading=(Ready(real),))) as app:
        await app.until(lambda: not app.screen.query_one("#ways").display)


@pytest.mark.parametrize(("typed", "opened"), [("/models", ModelsScreen), ("/settings", SettingsScreen)])
async def test_a_typed_command_opens_its_screen(typed: str, opened: type[Screen[None]]) -> None:
    async with driven_app() as app:
        await app.type(typed)
        await app.until(lambda: isinstance(app.app.screen, opened))


async def test_a_typed_quit_leaves() -> None:
    async with driven_app() as app:
        await app.type("/quit")
        await app.until(lambda: not app.app.is_running)
    assert app.engine._closed
