"""README.md is run: every command and every Python block, on the bundled miniature.

A comment above a block says how it is proved. None: it is run here. `ci`: it makes environments, so .ci/run
runs it, and here only its presence there is checked. `terminal`: it opens the app, on a terminal made for it.
`real model`: it needs 48 GB of weights, so here only its arguments are parsed.
"""

import io
import random
import re
import shlex
import sys
from importlib import import_module
from pathlib import Path

import pytest

from magistral_mlx.api import memory_plan
from magistral_mlx.commands import main
from magistral_mlx.miniature.images import BarChart, draw
from support.markdown_blocks import Block, blocks_of
from support.pseudo_terminal import run_on_a_terminal

_ROOT = Path(__file__).parents[2]
_README = _ROOT / "README.md"
_BLOCKS = blocks_of(_README)


def _lines(marker: str | None) -> list[str]:
    return [
        line for block in _BLOCKS if block.language == "sh" and block.marker == marker for line in block.lines
    ]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory that the examples assume: a chart lies in it."""
    draw(BarChart(("K", "B", "W"), (4, 9, 2)), random.Random(1)).save(tmp_path / "chart.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_block_says_how_it_is_proved() -> None:
    assert {(block.language, block.marker) for block in _BLOCKS} == {
        ("sh", None),
        ("sh", "ci"),
        ("sh", "terminal"),
        ("sh", "real model"),
        ("python", None),
    }


def test_the_first_screen_holds_the_two_commands() -> None:
    first_screen = _README.read_text(encoding="utf-8").splitlines()[:25]
    assert sum(line in first_screen for line in _lines("ci")[:2]) == 2


@pytest.mark.parametrize("line", _lines("ci"))
def test_what_makes_environments_is_run_by_ci(line: str) -> None:
    assert line in (_ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("line", _lines(None))
def test_commands_run(
    line: str, desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words, _, piped = line.rpartition(" | ")
    typed = shlex.split(words)[1:] if words else []
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(typed).encode())))
    program, *arguments = shlex.split(piped)
    assert program == "magistral"
    assert not words or words.startswith("echo ")
    assert main.main(arguments) == 0
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("line", _lines("real model"))
def test_commands_for_the_real_model_are_understood(line: str) -> None:
    program, *arguments = shlex.split(line)
    assert program == "magistral"
    commands = main.installed_commands()
    name = arguments.pop(0) if arguments[0] in commands else main.DEFAULT_COMMAND
    parser = main.Parser(prog=name)
    module = import_module(commands[name])
    module.configure(parser)
    parser.parse_args(arguments)


@pytest.mark.parametrize("line", _lines("terminal"))
def test_the_app_opens_and_closes(line: str, desk: Path) -> None:
    program = [str(Path(sys.executable).with_name(word)) for word in shlex.split(line)]
    shown = run_on_a_terminal(program, until="miniature", keys="\x11")
    assert shown.exit_code == 0
    assert "\x1b[?1049h" in shown.output
    assert "\x1b[?1049l" in shown.output


def test_python_blocks_run(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, object] = {}
    said: list[str] = []
    for block in _python_blocks():
        exec(compile(block.body, str(_README), "exec"), namespace)
        said.append(capsys.readouterr().out)
    first, _, streamed, chat, gone_on, planned, mistake = said
    assert "85" in first
    assert "complete" in first
    assert "448" in streamed
    assert int(chat.split()[0]) > 0
    assert "85" in gone_on
    assert "42" in gone_on
    assert "tokens of context that fit" in planned
    assert "no-such-file.png" in mistake


def _python_blocks() -> list[Block]:
    return [block for block in _BLOCKS if block.language == "python"]


def test_the_memory_table_is_the_computed_one() -> None:
    text = _README.read_text(encoding="utf-8")
    written = re.search(r"<!-- memory table -->\n(.*?)<!-- end of memory table -->", text, re.DOTALL)
    assert written is not None
    assert written[1] == memory_plan.memory_table()


def test_every_command_is_named() -> None:
    text = _README.read_text(encoding="utf-8")
    commands = set(main.installed_commands()) - {main.DEFAULT_COMMAND}
    assert {name for name in commands if f"magistral {name}" not in text} == set()


def test_every_link_within_the_repository_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", _README.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert local
    assert [link for link in local if not (_ROOT / link).exists()] == []
