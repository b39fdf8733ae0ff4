"""What people type behind /export says where, as what, and whether the thoughts go with it."""

from pathlib import Path

import pytest

from magistral_mlx.errors import MagistralError
from magistral_mlx.events import Ending, Reply
from magistral_mlx.sessions.library import Library
from magistral_mlx.sessions.tree import ROOT, Tree
from magistral_mlx_tui.conversation.exporting import export_as_typed


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    session = Library().new()
    turn = session.ask("What is it?", parent=ROOT, model="m")
    session.add(turn, reasoning="my thought", reasoning_tokens=1, answer="12", answer_tokens=1)
    session.end(turn, Reply("my thought", "12", Ending.COMPLETE))
    session.close()
    return Library().read(session.id)


@pytest.mark.parametrize(
    ("typed", "name", "thought"),
    [
        ("", "here/what-is-it.md", True),
        ("without reasoning", "here/what-is-it.md", False),
        ("html", "here/what-is-it.html", True),
        ("JSON without reasoning", "here/what-is-it.json", False),
        ("a b.md", "here/a b.md", True),
        (" a b.md  Without Reasoning ", "here/a b.md", False),
        ("..", "what-is-it.md", True),
        ("../x.json", "x.json", True),
    ],
)
def test_a_wish_becomes_a_file(tree: Tree, tmp_path: Path, typed: str, name: str, thought: bool) -> None:
    written = export_as_typed(tree, typed)
    assert written.resolve() == tmp_path / name
    text = written.read_text()
    assert "12" in text
    assert ("my thought" in text) is thought


@pytest.mark.parametrize("typed", ["notes.docx", "~nobody-of-this-name/x.md", "reasoning", "x\0.md"])
def test_what_cannot_be_written_is_told(tree: Tree, typed: str) -> None:
    with pytest.raises(MagistralError):
        export_as_typed(tree, typed)
