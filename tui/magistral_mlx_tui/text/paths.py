"""Find the files named by typed, pasted or dropped text.

Terminals write a dropped file in many ways: quoted, with escaped spaces, as file:// with percent escapes.
macOS puts a narrow no-break space (U+202F) before AM and PM in the names of screenshots, which people type
as a space and some terminals paste as one; and it may store accents decomposed.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.storage.paths import typed_path

_WORD = re.compile(
    r"""'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)"|(?P<bare>(?:[^\s'"\\]|\\.)+)""", re.DOTALL
)
_LOOKS_LIKE_A_PATH = ("/", "~", "./", "../", "file://")
_ODD_SPACES = re.compile("[ \u00a0\u202f]")
LONGEST_PASTE = 20_000
"""Characters; a longer paste is text."""


def shown_path(path: Path) -> str:
    """Write `path` with `~` for the home, on one sanitized line."""
    try:
        return sanitize_line(str(Path("~") / path.relative_to(Path.home())))
    except (ValueError, RuntimeError):  # it lies elsewhere, or there is no home
        return sanitize_line(str(path))


def find_file(typed: str) -> Path | None:
    """The file that `typed` names in any of the ways above; None if there is none."""
    text = typed.strip()
    for candidate in dict.fromkeys([text, *_unquoted(text), _unescaped(text)]):
        if candidate and (found := _existing(_as_path(candidate))):
            return found
    return None


def dropped_files(pasted: str) -> list[Path]:
    """The files named by a paste; empty unless all of it is paths of existing files."""
    text = pasted.strip()
    if not text or len(text) > LONGEST_PASTE or not _may_be_path(text):
        return []
    if "\n" not in text and (whole := find_file(text)):
        return [whole]
    words = list(_words(text))
    if not all(map(_may_be_path, words)):
        return []
    found = [find_file(word) for word in words]
    return [path for path in found if path is not None] if all(found) else []


def _may_be_path(text: str) -> bool:
    return text.lstrip("'\"").startswith(_LOOKS_LIKE_A_PATH)


def _words(text: str) -> Iterator[str]:
    """The shell words of `text`, still quoted or escaped; adjoining pieces belong together."""
    start, end = 0, -1
    for match in _WORD.finditer(text):
        if end >= 0 and match.start() > end:
            yield text[start:end]
            start = match.start()
        end = match.end()
    if end >= 0:
        yield text[start:end]


def _unquoted(text: str) -> Iterable[str]:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        yield text[1:-1]


def _unescaped(text: str) -> str:
    """Unquote `text` as a shell does."""

    def plain(match: re.Match[str]) -> str:
        if match["single"] is not None:
            return match["single"]
        return re.sub(r"\\(.)", r"\1", match["double"] or match["bare"] or "", flags=re.DOTALL)

    return _WORD.sub(plain, text)


def _as_path(text: str) -> Path:
    if text.startswith("file://"):
        return Path(unquote(urlsplit(text.replace("#", "%23").replace("?", "%3F")).path))
    return typed_path(text.strip())


def _existing(path: Path) -> Path | None:
    try:
        if path.is_file():
            return path
        for form in ("NFC", "NFD"):
            if (variant := Path(unicodedata.normalize(form, str(path)))).is_file():
                return variant
        return _same_but_for_spaces(path)
    except (OSError, ValueError):  # a name that is too long, or has a zero byte in it, names no file
        return None


def _same_but_for_spaces(path: Path) -> Path | None:
    """The file whose name differs from `path` only in the kind of its spaces and the form of its accents."""
    wanted = _plain_name(path.name)
    if " " not in wanted or not path.parent.is_dir():
        return None
    return next(
        (entry for entry in path.parent.iterdir() if _plain_name(entry.name) == wanted and entry.is_file()),
        None,
    )


def _plain_name(name: str) -> str:
    return _ODD_SPACES.sub(" ", unicodedata.normalize("NFC", name))
