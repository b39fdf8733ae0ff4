"""Parse the argument of /export and write the file; find code and formulas to copy."""

import re
from pathlib import Path

from magistral_mlx.sessions.export.formats import Format, export, free_name, write_export
from magistral_mlx.sessions.tree import Tree
from magistral_mlx.storage.paths import typed_path

_WITHOUT = re.compile(r"(?:^|\s+)without reasoning$", re.IGNORECASE)


def export_as_typed(tree: Tree, typed: str) -> Path:
    """Write the conversation as typed: `[FILE | FOLDER | markdown | html | json] [without reasoning]`.

    Without a file name, a free one is made from the title, in the given or the current folder.

    Raises:
        MagistralError: the name has no known ending, is taken, or cannot be written.
    """
    where = _WITHOUT.sub("", typed.strip())
    reasoning = where == typed.strip()
    path = typed_path(where.strip())
    if not where or where.lower() in set(Format):
        return export_freely(tree, Format(where.lower() or Format.MARKDOWN), Path.cwd(), reasoning=reasoning)
    if path.is_dir():
        return export_freely(tree, Format.MARKDOWN, path, reasoning=reasoning)
    write_export(export(tree, Format.of(path), reasoning=reasoning), path)
    return path


def export_freely(tree: Tree, form: Format, folder: Path, *, reasoning: bool) -> Path:
    """Write the conversation into `folder` under a free name made from its title.

    Raises:
        MagistralError: it cannot be written.
    """
    path = free_name(tree, form, folder)
    write_export(export(tree, form, reasoning=reasoning), path)
    return path


_FENCE = re.compile(
    r"^ {0,3}(?P<fence>`{3,}|~{3,})[^\n]*\n(?P<code>.*?)(?:^ {0,3}(?P=fence)[`~]*[ \t]*$|\Z)", re.M | re.S
)
_FORMULA = re.compile(
    r"\$\$(?P<display>.+?)\$\$|\\\[(?P<bracket>.+?)\\\]|\\\((?P<round>.+?)\\\)"
    r"|(?<![\\$\w])\$(?P<dollar>[^\s$](?:[^$\n]*[^\s$])?)\$(?!\d)",
    re.S,
)


def code_blocks(text: str) -> list[str]:
    """The code between fences, without them; an open fence ends with the text."""
    return [match["code"] for match in _FENCE.finditer(text)]


def formulas(text: str) -> list[str]:
    """The LaTeX sources, without their delimiters, outside of code blocks."""
    outside = _FENCE.sub("", text)
    return [
        next(part for part in match.groups() if part is not None).strip()
        for match in _FORMULA.finditer(outside)
    ]
