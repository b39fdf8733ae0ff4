"""What people can set once for good: one table of fields that file, screen and flags come from.

The file is `settings.toml` in the program's folder. A wrong entry never keeps the app from starting: it is
left out and told, and what the file says beside it holds. Keys of the app stand in its table `[keys]`, by
the names of `commands.COMMANDS`.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast

import tomli_w

from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.sessions.records import Options
from magistral_mlx.storage.paths import data_directory
from magistral_mlx_tui.attachments.thumbnail import ImageMode
from magistral_mlx_tui.command_table import COMMANDS
from magistral_mlx_tui.themes import THEMES

_PLAIN_KEYS = frozenset(("ctrl+i", "ctrl+m", "ctrl+h", "ctrl+left_square_bracket", "ctrl+["))
"""Terminals send Tab, Enter, Backspace and Escape for these."""


@dataclass(frozen=True)
class Field:
    """How one setting is shown and checked."""

    title: str
    help: str
    choices: tuple[str, ...] = ()
    """All values of a text setting; empty: any text, or a number."""
    least: float | None = None
    most: float | None = None


def _setting(default: Any, title: str, help_text: str, **more: Any) -> Any:
    return field(default=default, metadata={"field": Field(title, help_text, **more)})


@dataclass(frozen=True)
class Settings:
    """All settings, with the defaults of a new installation; None: the program chooses."""

    model: str | None = _setting(None, "Model", "Name or folder of the model to start with; empty: the best.")
    theme: str = _setting("dark", "Theme", "Colours.", choices=tuple(THEMES))
    images: str = _setting(
        "auto",
        "Images",
        "How previews are drawn: half blocks work everywhere, also in tmux.",
        choices=tuple(mode.value for mode in ImageMode),
    )
    show_reasoning: bool = _setting(
        True, "Show reasoning", "Whether the reasoning has its pane at the start."
    )
    thinking: bool = _setting(True, "Thinking", "Whether the model thinks before it answers.")
    thinking_budget: int | None = _setting(
        None, "Thinking budget", "Most tokens of thought; empty: no limit of its own.", least=0, most=131_072
    )
    max_tokens: int | None = _setting(
        None,
        "Longest reply",
        "Most tokens of a reply; empty: what the context leaves.",
        least=1,
        most=131_072,
    )
    temperature: float = _setting(
        0.7, "Temperature", "How freely words are drawn; 0 always takes the likeliest.", least=0.0, most=5.0
    )
    top_p: float = _setting(0.95, "Top p", "Share of the likeliest words to draw from.", least=0.01, most=1.0)
    system: str = _setting(
        "",
        "System text",
        "Your own instructions, from the next start on; the model's reasoning prompt stays.",
    )
    keep_caches: bool = _setting(
        True,
        "Keep caches",
        "What was read of long conversations, up to 4 GB on disk: they go on at once.",
    )
    mouse: bool = _setting(True, "Mouse", "Off leaves the mouse to the terminal, for its own selection.")
    motion: bool = _setting(True, "Motion", "Off: nothing glides or blinks.")
    keys: Mapping[str, str] = field(default_factory=dict[str, str])
    """Other keys for commands: the command's name and its keys, comma between them."""


def settings_file() -> Path:
    """Where the settings are kept."""
    return data_directory() / "settings.toml"


def shown_fields() -> tuple[tuple[str, Field], ...]:
    """Name and description of every setting that a screen can show, in its order."""
    return tuple((each.name, each.metadata["field"]) for each in fields(Settings) if "field" in each.metadata)


_OLD_NAMES = {"pictures": "images"}
"""Settings and commands that earlier versions wrote by another name."""


def load_settings(file: Path | None = None) -> tuple[Settings, list[str]]:
    """The kept settings, and one line for each entry that was left out."""
    file = file or settings_file()
    try:
        with file.open("rb") as opened:
            raw = tomllib.load(opened)
    except FileNotFoundError:
        return Settings(), []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = sanitize_line(str(error))
        return Settings(), [
            f"{file.name} cannot be read ({reason}): the defaults hold. Correct or delete it."
        ]
    values: dict[str, Any] = {}
    complaints: list[str] = []
    for written, value in raw.items():
        name = _OLD_NAMES.get(written, written)
        try:
            values[name] = check(name, value)
        except ValueError as error:
            complaints.append(f"{file.name}: {sanitize_line(name)} {error}; its default holds.")
    return Settings(**values), complaints


def question_options(settings: Settings) -> Options:
    """How questions are asked by these settings; what is the default everywhere is left to the engine."""
    usual = Settings()
    options = Options(
        thinking=settings.thinking,
        thinking_budget=settings.thinking_budget if settings.thinking else None,
        max_tokens=settings.max_tokens,
    )
    if settings.temperature != usual.temperature:
        options = replace(options, temperature=settings.temperature)
    if settings.top_p != usual.top_p:
        options = replace(options, top_p=settings.top_p)
    return options


def save_settings(settings: Settings, file: Path | None = None) -> None:
    """Write what differs from the defaults, in one step.

    Raises:
        OSError: the file cannot be written; the old one stays.
    """
    file = file or settings_file()
    defaults = Settings()
    changed: dict[str, Any] = {}
    for each in fields(Settings):
        value = getattr(settings, each.name)
        if value != getattr(defaults, each.name) and value is not None:
            changed[each.name] = dict(cast("Mapping[str, str]", value)) if each.name == "keys" else value
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        part.write_text(tomli_w.dumps(changed), "utf-8")
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def with_text(settings: Settings, name: str, text: str) -> Settings:
    """`settings` with one value as it was typed.

    Raises:
        ValueError: it is none; says why.
    """
    current, text = getattr(Settings(), name), text.strip()
    optional = name in ("model", "thinking_budget", "max_tokens")
    value: object = text
    if not text and optional:
        value = None
    elif name in ("thinking_budget", "max_tokens"):
        value = _number(text, int)
    elif isinstance(current, float):
        value = _number(text, float)
    return replace(settings, **{name: check(name, value)})


def check(name: str, value: object) -> Any:
    """`value` if the setting `name` can have it.

    Raises:
        ValueError: there is no such setting, or it cannot have this value.
    """
    if name == "keys":
        return _check_keys(value)
    known = dict(shown_fields())
    if name not in known:
        raise ValueError("is no setting")
    default, limits = getattr(Settings(), name), known[name]
    if value is None and name in ("model", "thinking_budget", "max_tokens"):
        return None
    if name in ("thinking_budget", "max_tokens"):
        return _check_number(value, limits, (int,))
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError("is neither true nor false")
        return value
    if isinstance(default, float):
        return float(_check_number(value, limits, (int, float)))
    if not isinstance(value, str):
        raise ValueError("is no text")
    if limits.choices and value not in limits.choices:
        raise ValueError(f"is none of {', '.join(limits.choices)}")
    return value


def _check_number(value: object, limits: Field, kinds: tuple[type, ...]) -> Any:
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise ValueError("is no number" if float in kinds else "is no whole number")
    number = cast("float", value)
    if not (limits.least or 0) <= number <= (limits.most or number):  # NaN is in no range
        raise ValueError(f"is not between {limits.least} and {limits.most}")
    return value


def _check_keys(value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError("is no table of commands and keys")
    table = cast("Mapping[object, object]", value)
    names = {command.name for command in COMMANDS if command.key}
    keys: dict[str, str] = {}
    for written, key in table.items():
        name = _OLD_NAMES.get(written, written) if isinstance(written, str) else written
        if name not in names:
            raise ValueError(f"has no command {sanitize_line(str(name))}")
        if not isinstance(key, str) or not key.strip():
            raise ValueError(f"has no key for {name}")
        for each in key.split(","):
            if each.strip() in _PLAIN_KEYS:
                raise ValueError(f"cannot have {each.strip()}, which terminals use for another key")
        keys[str(name)] = key
    return keys


def _number(text: str, kind: Callable[[str], Any]) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise ValueError("is no whole number" if kind is int else "is no number") from None
