"""Wordings are text files in one format, and one reader reads them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from magistral_miniature.wordings import files
from magistral_miniature.wordings.files import grammars, of_writers, templates, word_lists
from magistral_miniature.wordings.grammars import patterns
from magistral_miniature.wordings.questions import QUESTIONS
from magistral_miniature.wordings.variation import makes

DATA = Path(files.__file__).parent / "data"
EXAMPLE = """# A comment.

mark = ?|!

== long

extreme = longest|
    most long
[Which|What] is the <extreme>[<mark>| now<mark>]

== short : long

extreme = shortest
Too short

== plain

Add {a} and {b}:~
x = {a} + {b}. Find x.
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("words", "writers"):
        (tmp_path / name).mkdir()
    (tmp_path / "words/common.txt").write_text("ask = Please~\nmark = .\n", "utf-8")
    (tmp_path / "example.txt").write_text(EXAMPLE, "utf-8")
    monkeypatch.setattr(files, "_FOLDER", tmp_path)
    files._read.cache_clear()
    yield tmp_path
    files._read.cache_clear()


def test_a_list_fills_its_place_in_a_grammar(folder: Path) -> None:
    marks = ("?", "!", " now?", " now!")
    assert grammars("example", "long") == (
        (("Which", "What"), (" is the ",), ("longest", "most long"), marks),
    )


def test_a_section_takes_the_lines_of_another_with_its_own_lists(folder: Path) -> None:
    first, second = grammars("example", "short")
    assert first[2] == ("shortest",)
    assert second == (("Too short",),)


def test_a_template_keeps_its_text(folder: Path) -> None:
    assert templates("example", "plain") == ("Add {a} and {b}: ", "x = {a} + {b}. Find x.")
    assert templates("example", "missing") == ()


def test_lists_before_the_sections_are_word_lists(folder: Path) -> None:
    assert word_lists("example") == {"mark": ("?", "!")}


def test_every_file_knows_the_common_lists(folder: Path) -> None:
    (folder / "other.txt").write_text("== polite\n\n<ask>add<mark>\n", "utf-8")
    assert grammars("other", "polite") == ((("Please ",), ("add",), (".",)),)


def test_the_lines_of_all_writers_are_joined_by_name(folder: Path) -> None:
    for name, line in (("b", "second"), ("a", "first")):
        (folder / f"writers/{name}.txt").write_text(f"== add\n\n{line}\n", "utf-8")
    assert of_writers("add") == ("first", "second")


@pytest.mark.parametrize("path", sorted(DATA.rglob("*.txt")), ids=lambda path: path.stem)
def test_every_file_has_lists_or_sections_and_no_empty_line_of_wording(path: Path) -> None:
    lists, sections = files._read(str(path.relative_to(DATA).with_suffix("")))
    assert lists or sections
    for _, lines, other in sections.values():
        assert lines or other
        assert other is None or other in sections
        assert all(line.strip() for line in lines)


TEMPLATES = sorted(path for name in ("listed", "writers", "blind") for path in (DATA / name).iterdir())


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_no_template_is_taken_for_a_list(path: Path) -> None:
    shared, sections = files._read(str(path.relative_to(DATA).with_suffix("")))
    assert not shared
    assert not any(lists for lists, _, _ in sections.values())


def test_every_kind_of_question_has_listed_wordings_without_open_marks() -> None:
    for kind, wordings in QUESTIONS.items():
        assert wordings.listed, kind
        for parts in wordings.parts:
            assert not any(set(text) & set("|<[]~") for part in parts for text in part), kind


def test_a_pattern_is_a_grammar() -> None:
    grammar = patterns("[Please |]add {a} to {b}[<mark>| now<mark>]", mark="?|!")
    assert grammar == ((("Please ", ""), ("add {a} to {b}",), ("?", "!", " now?", " now!")),)
    assert makes(grammar, "add {a} to {b} now", "talk")
    assert not makes(grammar, "add {b} to {a}", "talk")
