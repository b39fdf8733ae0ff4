"""The commands of the other guides are understood, and the pages of docs/ hang together."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from magistral_mlx.commands import main
from support.markdown_blocks import blocks_of

_ROOT = Path(__file__).parents[2]
_PAGES = sorted((_ROOT / "docs").rglob("*.md"))
_COMMANDS = [
    line
    for page in _PAGES
    for block in blocks_of(page)
    for line in block.lines
    if block.language == "sh" and line.startswith("magistral")
]


@pytest.mark.parametrize("line", _COMMANDS)
def test_every_command_is_understood(line: str) -> None:
    _, *arguments = shlex.split(line)
    commands = main.installed_commands()
    name = arguments.pop(0) if arguments and arguments[0] in commands else main.DEFAULT_COMMAND
    parser = main.Parser(prog=name)
    import_module(commands[name]).configure(parser)
    parser.parse_args(arguments)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    paths = re.findall(r"`((?:src|convert|tui|tests|docs|miniature)/[\w./-]+)`", text)
    assert [path for path in paths if not (_ROOT / path).exists()] == []
