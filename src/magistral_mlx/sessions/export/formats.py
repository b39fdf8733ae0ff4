"""The formats of exports, and writing one to a file."""

import json
import os
import re
import unicodedata
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path

from magistral_mlx.errors import SessionError, UsageError
from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.sessions.export.words import day, ending_words, image_words, thought_figures
from magistral_mlx.sessions.library import title_of
from magistral_mlx.sessions.tree import Tree, Turn

_LONGEST_NAME = 60
_SUFFIXES = {".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html", ".json": "json"}
_MOST_NAMES = 1000


class Format(StrEnum):
    """A format of exports."""

    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"

    @property
    def suffix(self) -> str:
        """The suffix of a file's name."""
        return ".md" if self is Format.MARKDOWN else f".{self.value}"

    @classmethod
    def of(cls, path: Path) -> "Format":
        """Return the format for the name of `path`.

        Raises:
            UsageError: its suffix is not one of a format.
        """
        if known := _SUFFIXES.get(path.suffix.lower()):
            return cls(known)
        raise UsageError(
            f"The format of {sanitize_line(path.name)} is not known",
            "End the name in .md, .html or .json, or name the format.",
        )


def export(tree: Tree, form: Format, *, reasoning: bool = True) -> str:
    """Return the conversation as text, with or without its reasoning."""
    match form:
        case Format.MARKDOWN:
            return to_markdown(tree, reasoning=reasoning)
        case Format.HTML:
            from magistral_mlx.sessions.export.as_html import to_html

            return to_html(tree, reasoning=reasoning)
        case Format.JSON:
            return to_json(tree, reasoning=reasoning)


def write_export(text: str, path: Path) -> None:
    """Write `text` to a new file at `path`, readable by this user only.

    Raises:
        SessionError: the file exists already, or cannot be written; nothing is left behind.
    """
    try:
        with open(path, "xb", opener=_private) as file:
            try:
                file.write(text.encode("utf-8", "replace"))
                file.flush()
            except OSError:
                path.unlink(missing_ok=True)
                raise
    except FileExistsError as error:
        raise SessionError(f"{sanitize_line(str(path))} exists already", "Choose another name.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is not valid"
        raise SessionError(
            f"{sanitize_line(str(path))} cannot be written ({reason})", "Choose another folder or make room."
        ) from error


def free_name(tree: Tree, form: Format, folder: Path) -> Path:
    """Return a free path in `folder`, made of the conversation's title."""
    words = unicodedata.normalize("NFC", title_of(tree)).casefold()
    stem = re.sub(r"[\W_]+", "-", words).strip("-")[:_LONGEST_NAME].strip("-") or "conversation"
    for number in range(1, _MOST_NAMES):
        path = folder / f"{stem}{f'-{number}' if number > 1 else ''}{form.suffix}"
        if not path.exists():
            return path
    return folder / f"{stem}-{tree.id}{form.suffix}"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def to_json(tree: Tree, *, reasoning: bool) -> str:
    """Return JSON: all turns in the order of asking, ids of the shown path; times are seconds since 1970."""
    whole = {
        "format": "magistral-mlx conversation",
        "version": 1,
        "id": tree.id,
        "title": title_of(tree),
        "began_at": tree.began_at,
        "path": [turn.id for turn in tree.path],
        "turns": [_json_turn(turn, reasoning=reasoning) for turn in tree.turns.values()],
    }
    return json.dumps(whole, ensure_ascii=False, indent=2, default=str) + "\n"


def _json_turn(turn: Turn, *, reasoning: bool) -> dict[str, object]:
    return {
        "id": turn.id,
        "parent": turn.parent or None,
        "asked_at": turn.at,
        "ended_at": turn.ended_at,
        "model": turn.model,
        "system": turn.system,
        "options": asdict(turn.options),
        "question": turn.question,
        "pictures": [asdict(image) for image in turn.images],
        **({"reasoning": turn.reasoning, "thinking_seconds": turn.thinking_seconds} if reasoning else {}),
        "answer": turn.answer,
        "ending": turn.ending.value if turn.ending else None,
        "stats": asdict(turn.stats),
    }


def to_markdown(tree: Tree, *, reasoning: bool) -> str:
    """Return the turns on the shown path."""
    parts = [f"# {_escaped(title_of(tree)) or 'Conversation'}\n", f"{day(tree.began_at)}\n"]
    for number, turn in enumerate(tree.path, start=1):
        parts += _markdown_turn(turn, number, reasoning=reasoning)
    return "\n".join(parts)


def _markdown_turn(turn: Turn, number: int, *, reasoning: bool) -> list[str]:
    parts = [f"## Question {number}\n", f"{turn.question.strip()}\n"]
    parts += [f"*Image: {_escaped(image_words(each))}*\n" for each in turn.images]
    if reasoning and turn.reasoning.strip():
        parts += [f"### Reasoning ({thought_figures(turn)})\n", _quoted(turn.reasoning) + "\n"]
    model = f" ({_escaped(turn.model)})" if turn.model else ""
    parts.append(f"### Answer{model}\n")
    if turn.answer.strip():
        parts.append(f"{turn.answer.strip()}\n")
    if words := ending_words(turn):
        parts.append(f"*{words}*\n")
    return parts


def _quoted(text: str) -> str:
    """Quote `text`; no markup in it can end the quotation."""
    return "\n".join(f"> {line}".rstrip() for line in text.strip().splitlines())


def _escaped(text: str) -> str:
    """Return one line that Markdown takes literally."""
    line = " ".join(text.split())
    return "".join(f"\\{each}" if each in "\\`*_[]<>#!|" else each for each in line)
