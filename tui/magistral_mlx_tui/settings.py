"""Settings: one table of fields behind the file, the screen and the flags.

The file is `settings.toml` in the program's folder. A wrong entry never keeps the app from starting: it is
skipped and reported, and the other entries count. Shortcuts stand in its table `[keys]`, by the names in
`command_table.COMMANDS`.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast

import tomli_w

from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.storage.atomic import read_bytes
from magistral_mlx.storage.messages import Options
from magistral_mlx.storage.paths import data_directory
from magistral_mlx.storage.units import format_about
from magistral_mlx_tui.attachments.thumbnail import ImageMode
from magistral_mlx_tui.command_table import COMMANDS, current_name
from magistral_mlx_tui.conversation.kv_caches import MOST_BYTES
from magistral_mlx_tui.themes import THEMES

_PLAIN_KEYS = frozenset(("ctrl+i", "ctrl+m", "ctrl+h", "ctrl+left_square_bracket", "ctrl+["))
"""Terminals send these for Tab, Enter, Backspace and Escape."""


@dataclass(frozen=True)
class Field:
    """Show and check one setting."""

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
    """All settings with their defaults; None: the program chooses."""

    model: str | None = _setting(
        None, "Model", "Model to start with, by name or folder; empty: the best installed one."
    )
    theme: str = _setting("dark", "Theme", "Colours.", choices=tuple(THEMES))
    images: str = _setting(
        "auto",
        "Images",
        "How previews are drawn; half blocks work everywhere, also in tmux.",
        choices=tuple(mode.value for mode in ImageMode),
    )
    show_reasoning: bool = _setting(True, "Show reasoning", "Show reasoning on start.")
    thinking: bool = _setting(True, "Thinking", "Think before answering.")
    thinking_budget: int | None = _setting(
        None, "Thinking budget", "Token limit for reasoning; empty: no separate limit.", least=0, most=131_072
    )
    max_tokens: int | None = _setting(
        None,
        "Max reply tokens",
        "Token limit for reasoning and answer; empty: the rest of the context.",
        least=1,
        most=131_072,
    )
    temperature: float = _setting(
        0.7, "Temperature", "Randomness; 0 always picks the most likely token.", least=0.0, most=5.0
    )
    top_p: float = _setting(0.95, "Top-p", "Nucleus sampling cutoff.", least=0.01, most=1.0)
    system: str = _setting(
        "",
        "System prompt",
        "Your own instructions, used from the next start; the model's reasoning prompt stays.",
    )
    keep_caches: bool = _setting(
        True,
        "Keep caches",
        f"Save caches so long chats resume instantly; up to {format_about(MOST_BYTES)} on disk.",
    )
    mouse: bool = _setting(True, "Mouse", "Off leaves the mouse to the terminal, for its own selection.")
    motion: bool = _setting(True, "Motion", "Off: no animation.")
    keys: Mapping[str, str] = field(default_factory=dict[str, str])
    """Shortcuts: the command's name and its keys, separated by commas."""


def settings_file() -> Path:
    """The file that holds the settings."""
    return data_directory() / "settings.toml"


def shown_fields() -> tuple[tuple[str, Field], ...]:
    """Name and description of every setting on the screen, in order."""
    return tuple((each.name, each.metadata["field"]) for each in fields(Settings) if "field" in each.metadata)


_LARGEST_FILE = 1_000_000
"""Bytes of the largest settings file."""

_OLD_NAMES = {"pictures": "images"}
"""Names of settings in earlier versions."""


def load_settings(file: Path | None = None) -> tuple[Settings, list[str]]:
    """Load the settings; also returns one line for each entry that was skipped."""
    file = file or settings_file()
    try:
        raw = tomllib.loads(read_bytes(file, most=_LARGEST_FILE).decode())
    except FileNotFoundError:
        return Settings(), []
    except (OSError, ValueError, RecursionError) as error:
        reason = sanitize_line(str(error))
        return Settings(), [
            f"{file.name} cannot be read ({reason}); using the defaults. Correct or delete the file."
        ]
    values: dict[str, Any] = {}
    complaints: list[str] = []
    for written, value in raw.items():
        name = _OLD_NAMES.get(written, written)
        try:
            values[name] = check(name, value)
        except ValueError as error:
            complaints.append(f"{file.name}: {sanitize_line(name)} {error}; using its default.")
    return Settings(**values), complaints


def question_options(settings: Settings) -> Options:
    """The options of the next questions; defaults are left to the engine."""
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
    """Write the settings that differ from the defaults, atomically.

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
    """Set one value as typed.

    Raises:
        ValueError: the value is wrong; says why.
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
    """Check `value` for the setting `name` and return it.

    Raises:
        ValueError: there is no such setting, or the value is wrong.
    """
    if name == "keys":
        return _check_keys(value)
    known = dict(shown_fields())
    if name not in known:
        raise ValueError("is not a setting")
    default, limits = getattr(Settings(), name), known[name]
    if value is None and name in ("model", "thinking_budget", "max_tokens"):
        return None
    if name in ("thinking_budget", "max_tokens"):
        return _check_number(value, limits, (int,))
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value
    if isinstance(default, float):
        return float(_check_number(value, limits, (int, float)))
    if not isinstance(value, str):
        raise ValueError("must be text")
    if limits.choices and value not in limits.choices:
        raise ValueError(f"must be one of {', '.join(limits.choices)}")
    return value


def _check_number(value: object, limits: Field, kinds: tuple[type, ...]) -> Any:
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise ValueError("must be a number" if float in kinds else "must be a whole number")
    number = cast("float", value)
    if not (limits.least or 0) <= number <= (limits.most or number):  # NaN is in no range
        raise ValueError(f"must be between {limits.least} and {limits.most}")
    return value


def _check_keys(value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError("must be a table of commands and keys")
    table = cast("Mapping[object, object]", value)
    names = {command.name for command in COMMANDS if command.key}
    keys: dict[str, str] = {}
    for written, key in table.items():
        name = current_name(written) if isinstance(written, str) else written
        if name not in names:
            raise ValueError(f"names no command: {sanitize_line(str(name))}")
        if not isinstance(key, str) or not key.strip():
            raise ValueError(f"has no key for {name}")
        for each in key.split(","):
            if each.strip() in _PLAIN_KEYS:
                raise ValueError(f"cannot use {each.strip()}: terminals send it for another key")
        keys[str(name)] = key
    return keys


def _number(text: str, kind: Callable[[str], Any]) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise ValueError("must be a whole number" if kind is int else "must be a number") from None
