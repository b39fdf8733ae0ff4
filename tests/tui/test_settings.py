"""Settings: one table for file and screen; what is wrong in the file is left out and told."""

import math
import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.widgets import Input, Select

from magistral_mlx.engine.protocol import Answer
from magistral_mlx_tui.command_table import COMMANDS
from magistral_mlx_tui.panes.pane_pair import Fold
from magistral_mlx_tui.screens.settings import SettingsScreen
from magistral_mlx_tui.settings import (
    Settings,
    check,
    load_settings,
    save_settings,
    settings_file,
    shown_fields,
    with_text,
)
from support.terminal_app import driven_app

_TOKENS = st.one_of(st.none(), st.integers(1, 131_072))
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_SETTINGS = st.builds(
    Settings,
    model=st.one_of(st.none(), _TEXT),
    theme=st.sampled_from(["dark", "light", "ansi"]),
    thinking=st.booleans(),
    thinking_budget=_TOKENS,
    max_tokens=_TOKENS,
    temperature=st.floats(0, 5),
    top_p=st.floats(0.01, 1),
    system=_TEXT,
    mouse=st.booleans(),
    keys=st.dictionaries(
        st.sampled_from([each.name for each in COMMANDS if each.key]), st.sampled_from(["f2", "ctrl+g,f3"])
    ),
)


@given(_SETTINGS)
def test_what_is_saved_is_read(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> None:
    file = tmp_path_factory.getbasetemp() / "settings.toml"
    save_settings(settings, file)
    assert load_settings(file) == (settings, [])


def test_only_what_differs_from_the_defaults_is_written(tmp_path: Path) -> None:
    save_settings(Settings(), tmp_path / "a.toml")
    assert (tmp_path / "a.toml").read_text() == ""
    save_settings(Settings(theme="light", keys={"new": "f2"}), tmp_path / "a.toml")
    assert (tmp_path / "a.toml").read_text() == 'theme = "light"\n\n[keys]\nnew = "f2"\n'
    assert [path.name for path in tmp_path.iterdir()] == ["a.toml"]


def test_without_a_file_the_defaults_hold() -> None:
    assert not settings_file().exists()
    assert load_settings() == (Settings(), [])


@pytest.mark.parametrize("content", [b"theme = ", b"\xff\xfe", b"a = 1\na = 2"])
def test_an_unreadable_file_is_told_and_the_defaults_hold(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "settings.toml").write_bytes(content)
    settings, (complaint,) = load_settings(tmp_path / "settings.toml")
    assert settings == Settings()
    assert complaint.startswith("settings.toml cannot be read (")


def test_wrong_entries_are_left_out_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(
        'theme = "pink"\nthinking = 1\ntemperature = nan\nmax_tokens = 0\ntop_p = 0.5\n'
        'colour = "red"\n"\\u001b[2J" = 1\n[keys]\nnew = "ctrl+m"\n'
    )
    settings, complaints = load_settings(tmp_path / "settings.toml")
    assert settings == Settings(top_p=0.5)
    assert complaints == [
        "settings.toml: theme must be one of dark, light, ansi; using its default.",
        "settings.toml: thinking must be true or false; using its default.",
        "settings.toml: temperature must be between 0.0 and 5.0; using its default.",
        "settings.toml: max_tokens must be between 1 and 131072; using its default.",
        "settings.toml: colour is not a setting; using its default.",
        "settings.toml: ␛[2J is not a setting; using its default.",
        "settings.toml: keys cannot use ctrl+m: terminals send it for another key; using its default.",
    ]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("model", " miniature ", "miniature"),
        ("model", "", None),
        ("thinking_budget", "500", 500),
        ("thinking_budget", "", None),
        ("temperature", "0", 0.0),
        ("system", "Be brief.", "Be brief."),
    ],
)
def test_typed_values(name: str, text: str, value: object) -> None:
    assert getattr(with_text(Settings(), name, text), name) == value


@pytest.mark.parametrize(
    ("name", "text"), [("max_tokens", "many"), ("max_tokens", "1.5"), ("temperature", "hot"), ("top_p", "2")]
)
def test_typed_nonsense(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"number|between"):
        with_text(Settings(), name, text)


@pytest.mark.parametrize("value", [math.inf, math.nan, True, "1", None])
def test_no_temperature(value: object) -> None:
    with pytest.raises(ValueError):
        check("temperature", value)


def test_every_setting_is_described_and_its_default_is_allowed() -> None:
    described = dict(shown_fields())
    assert set(described) == {each.name for each in fields(Settings)} - {"keys"}
    for name in described:
        value: Any = getattr(Settings(), name)
        assert replace(Settings(), **{name: check(name, value)}) == Settings()


async def test_the_screen_keeps_what_is_changed_and_lets_it_work() -> None:
    async with driven_app([Answer("x", 1)], size=(120, 60)) as app:
        await app.pilot.press("f10")
        await app.until(lambda: isinstance(app.app.screen, SettingsScreen))
        sheet = app.app.screen
        sheet.query_one("#theme", Select).value = "light"
        sheet.query_one("#thinking_budget", Input).value = "50x"
        await app.until(lambda: "a whole number" in str(sheet.query_one("#settings-problem").render()))
        sheet.query_one("#thinking_budget", Input).value = "50"
        sheet.query_one("#temperature", Input).value = "0"
        await app.until(lambda: load_settings()[0].temperature == 0)
        assert load_settings() == (Settings(theme="light", thinking_budget=50, temperature=0.0), [])
        assert app.app.theme == "magistral-light"
        await app.pilot.press("escape")
        await app.type("?")
        await app.until(lambda: bool(app.engine.requests))
        asked = app.engine.requests[0].options
        assert (asked.thinking_budget, asked.temperature, asked.top_p) == (50, 0.0, None)


async def test_settings_that_cannot_be_kept_hold_until_the_end_and_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("magistral_mlx_tui.app.save_settings", refuse)
    async with driven_app() as app:
        await app.pilot.press("f10")
        await app.until(lambda: isinstance(app.app.screen, SettingsScreen))
        app.app.screen.query_one("#mouse", Select).value = False
        problem = app.app.screen.query_one("#settings-problem")
        await app.until(lambda: "No space left on device" in str(problem.render()))
        assert app.app.settings.mouse is False


async def test_keys_can_be_changed_and_the_reasoning_be_hidden_from_the_start() -> None:
    settings = Settings(keys={"settings": "f12"}, show_reasoning=False, motion=False)
    async with driven_app([Answer("x", 1)], settings=settings) as app:
        assert app.screen.pair.fold is Fold.HIDE
        assert not app.screen.prompt.cursor_blink
        await app.pilot.press("f10")
        await app.pilot.pause()
        assert not isinstance(app.app.screen, SettingsScreen)
        await app.pilot.press("f12")
        await app.until(lambda: isinstance(app.app.screen, SettingsScreen))


def test_hostile_files_leave_the_defaults(tmp_path: Path) -> None:
    nested = tmp_path / "nested.toml"
    nested.write_text("a = " + "[" * 100_000)
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    for file in (nested, pipe):
        settings, complaints = load_settings(file)
        assert settings == Settings()
        assert len(complaints) == 1
        assert "cannot be read" in complaints[0]
