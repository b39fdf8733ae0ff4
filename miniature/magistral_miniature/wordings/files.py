"""Reader of all wordings and word lists, the text files in `data/`.

A file has lists ("name = one|two|three"), before the first section or at the start of a section, and sections
("== name"). Every other line of a section is a template or a grammar: "[Please |]add {a} and {b}<end>" offers
two beginnings and the list `end`. "== tallest : extreme" takes the lines of section `extreme` with its own
lists, and adds more lines. An indent of four spaces continues the line above. "~" is a space, needed at the
end of a line. "#" starts a comment. The first line of a section cannot be a template like "x = {a}".

The folders: `listed` has templates by kind of question, `parts` and `everyday` have grammars, `writers` has
templates by many writers, `blind` has the templates of the measured table, `words` has word lists.
"""

import re
from functools import lru_cache
from pathlib import Path

from magistral_miniature.wordings.grammars import Grammars, patterns

__all__ = ["grammars", "of_writers", "templates", "word_lists"]

_FOLDER = Path(__file__).parent / "data"
_LIST = re.compile(r"([a-z_0-9]+) = (.*)")
_SECTION = re.compile(r"== ([\w ]+?)(?: : (\w+))?")


def grammars(file: str, section: str) -> Grammars:
    """Return the grammars of a section.

    Args:
        file: path of a file below `data/`, without its suffix.
        section: name of the section.
    """
    lists, sections = _read(file)
    own, lines, other = sections[section]
    if other:
        of_other, more, _ = sections[other]
        own, lines = {**of_other, **own}, (*more, *lines)
    return patterns("\n".join(lines), **{**_read("words/common")[0], **lists, **own})


def word_lists(file: str) -> dict[str, tuple[str, ...]]:
    """Return the lists before the first section of a file, by name."""
    return {name: tuple(listed.split("|")) for name, listed in _read(file)[0].items()}


def templates(file: str, section: str) -> tuple[str, ...]:
    """Return the lines of a section unchanged, or nothing if the file has no such section."""
    return _read(file)[1].get(section, ({}, (), None))[1]


def of_writers(section: str) -> tuple[str, ...]:
    """Return the lines of a section from all files in `data/writers/`."""
    files = sorted(path.stem for path in (_FOLDER / "writers").glob("*.txt"))
    return tuple(line for file in files for line in templates(f"writers/{file}", section))


_Section = tuple[dict[str, str], tuple[str, ...], str | None]


@lru_cache
def _read(file: str) -> tuple[dict[str, str], dict[str, _Section]]:
    text = (_FOLDER / f"{file}.txt").read_text("utf-8").replace("\n    ", "")
    shared: dict[str, str] = {}
    sections: dict[str, _Section] = {}
    lists, lines = shared, []
    for line in (line.replace("~", " ") for line in text.splitlines() if line and line[0] != "#"):
        if section := _SECTION.fullmatch(line):
            lists, lines = {}, []
            sections[section[1]] = (lists, (), section[2])
            name = section[1]
        elif not lines and (listed := _LIST.fullmatch(line)):
            lists[listed[1]] = listed[2]
        else:
            lines.append(line)
            sections[name] = (lists, tuple(lines), sections[name][2])
    return shared, sections
