"""`magistral sessions` as it is typed."""

import io
import json
from pathlib import Path

import pytest

from magistral_mlx.commands.main import main
from magistral_mlx.events import Ending, Reply
from magistral_mlx.sessions.library import Library
from magistral_mlx.sessions.tree import ROOT


@pytest.fixture
def kept() -> list[str]:
    """Two conversations; the second one holds what a terminal would obey."""
    ids = list[str]()
    for question, answer in (
        ("What is 7 + 5?", "It is **12**."),
        ("Name \x1b[2J a colour", "Red\x1b]0;x\x07"),
    ):
        session = Library().new()
        turn = session.ask(question, parent=ROOT, model="miniature")
        session.add(turn, reasoning="units first", reasoning_tokens=2, answer=answer, answer_tokens=5)
        session.end(turn, Reply("units first", answer, Ending.COMPLETE))
        session.close()
        ids.append(session.id)
    return ids


def test_the_list(kept: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sessions"]) == 0
    assert main(["sessions", "list"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 4
    assert shown[0].startswith(kept[1]) or shown[0].startswith(kept[0])
    assert any(row.endswith("1 turn  What is 7 + 5?") for row in shown)
    assert "\x1b" not in "".join(shown)
    assert main(["sessions", "list", "--json"]) == 0
    listing = json.loads(capsys.readouterr().out)
    assert {each["id"] for each in listing["conversations"]} == set(kept)


def test_an_empty_list_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sessions"]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "No conversation is kept yet" in shown.err


def test_search(kept: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sessions", "search", "12", "units"]) == 0
    assert capsys.readouterr().out.startswith(f"{kept[0]}  What is 7 + 5?\n    answer: It is **12**.")
    assert main(["sessions", "search", "nowhere"]) == 1
    assert "No conversation holds 'nowhere'" in capsys.readouterr().err


def test_show_is_harmless_on_a_terminal(kept: list[str], terminal: tuple[io.StringIO, io.StringIO]) -> None:
    assert main(["sessions", "show", kept[1], "--no-reasoning"]) == 0
    shown = terminal[0].getvalue()
    assert "Red␛]0;x␇" in shown
    assert "units" not in shown
    assert "\x1b" not in shown


def test_export(kept: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sessions", "export", "What is 7 + 5?"]) == 0
    assert "> units first" in capsys.readouterr().out
    target = tmp_path / "sums.html"
    assert main(["sessions", "export", kept[0], "--to", str(target), "--no-reasoning"]) == 0
    page = target.read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "units first" not in page
    assert main(["sessions", "export", kept[0], "--to", str(target)]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["sessions", "export", kept[0], "--to", str(tmp_path / "sums.txt")]) == 2
    assert main(["sessions", "export", kept[0], "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["turns"][0]["answer"] == "It is **12**."


def test_rename_delete_restore(kept: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sessions", "rename", kept[0], "Sums"]) == 0
    assert main(["sessions", "delete", "sums"]) == 0
    assert f"restore {kept[0]}" in capsys.readouterr().err
    assert [each.id for each in Library().summaries()] == [kept[1]]
    assert main(["sessions", "restore"]) == 0
    assert len(Library().summaries()) == 2
    assert main(["sessions", "restore"]) == 1
    assert "No conversation was deleted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"), [(["show", "nothing"], 1), (["show"], 2), (["fly"], 2), (["export", "../x"], 1)]
)
def test_wrong_input_is_one_line(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sessions", *arguments]) == code
    assert capsys.readouterr().err.count("\n") == 1
