"""Which formats there are, and writing one of them to a file."""

import os
import re
import unicodedata
from enum import StrEnum
from pathlib import Path

from magistral_mlx.errors import SessionError, UsageError
from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.sessions.library import title_of
from magistral_mlx.sessions.tree import Tree

_LONGEST_NAME = 60
_SUFFIXES = {".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html", ".json": "json"}
_MOST_NAMES = 1000


class Format(StrEnum):
    """What a conversation can be written as."""

    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"

    @property
    def suffix(self) -> str:
        """The end of a file's name."""
        return ".md" if self is Format.MARKDOWN else f".{self.value}"

    @classmethod
    def of(cls, path: Path) -> "Format":
        """The format that the name of `path` asks for.

        Raises:
            UsageError: it asks for none.
        """
        if known := _SUFFIXES.get(path.suffix.lower()):
            return cls(known)
        raise UsageError(
            f"{sanitize_line(path.name)} does not say which format it should have",
            "Let the name end in .md, .html or .json, or name the format.",
        )


def export(tree: Tree, form: Format, *, reasoning: bool = True) -> str:
    """The conversation as text; `reasoning`: whether the thoughts are in it."""
    match form:
        case Format.MARKDOWN:
            from magistral_mlx.sessions.export.as_markdown import to_markdown

            return to_markdown(tree, reasoning=reasoning)
        case Format.HTML:
            from magistral_mlx.sessions.export.as_html import to_html

            return to_html(tree, reasoning=reasoning)
        case Format.JSON:
            from magistral_mlx.sessions.export.as_json import to_json

            return to_json(tree, reasoning=reasoning)


def write_export(text: str, path: Path) -> None:
    """Write `text` to a new file at `path`, readable by this user only.

    Raises:
        SessionError: there is a file already, or it cannot be written; then nothing is left behind.
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
    """A name in `folder` that no file has, made of the conversation's title."""
    words = unicodedata.normalize("NFC", title_of(tree)).casefold()
    stem = re.sub(r"[\W_]+", "-", words).strip("-")[:_LONGEST_NAME].strip("-") or "conversation"
    for number in range(1, _MOST_NAMES):
        path = folder / f"{stem}{f'-{number}' if number > 1 else ''}{form.suffix}"
        if not path.exists():
            return path
    return folder / f"{stem}-{tree.id}{form.suffix}"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
