"""Settings: one table for file and screen; what is wrong in the file is left out and told."""

import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx_tui.commands import COMMANDS
from magistral_mlx_tui.settings import (
    Settings,
    check,
    load_settings,
    save_settings,
    settings_file,
    shown_fields,
    with_text,
)

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
        "settings.toml: theme is none of dark, light, ansi; its default holds.",
        "settings.toml: thinking is neither true nor false; its default holds.",
        "settings.toml: temperature is not between 0.0 and 5.0; its default holds.",
        "settings.toml: max_tokens is not between 1 and 131072; its default holds.",
        "settings.toml: colour is no setting; its default holds.",
        "settings.toml: ␛[2J is no setting; its default holds.",
        "settings.toml: keys cannot have ctrl+m, which terminals use for another key; its default holds.",
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
