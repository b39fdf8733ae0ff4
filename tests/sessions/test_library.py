"""The list of conversations: titles, search, names, deleting and restoring, drafts."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.errors import SessionError
from magistral_mlx.events import Ending, Reply
from magistral_mlx.sessions.library import Library
from magistral_mlx.sessions.records import Asked, Ended, KeptImage, Piece
from magistral_mlx.sessions.retention import TRASH_DAYS
from magistral_mlx.sessions.search import find_words
from magistral_mlx.sessions.tree import ROOT, Tree
from magistral_mlx.sessions.unsent import Draft, load_draft, save_draft, take_orphan
from magistral_mlx.storage.messages import SavedTurn
from magistral_mlx.storage.paths import images_directory


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "sessions")


def keep(library: Library, question: str, answer: str = "", reasoning: str = "") -> str:
    session = library.new()
    turn = session.ask(question, parent=ROOT, model="m")
    session.add(turn, reasoning=reasoning, answer=answer)
    session.end(turn, Reply(reasoning, answer, Ending.COMPLETE))
    session.close()
    return session.id


def test_the_list_has_the_last_used_one_first(library: Library) -> None:
    assert library.summaries() == []
    first, second = keep(library, "What is\n 7 + 5?"), keep(library, "long " * 40)
    session = library.open(first)
    turn = session.ask("and now?", parent=session.tree.path[-1].id, model="other")
    session.close()
    listed = library.summaries()
    assert [each.id for each in listed] == [first, second]
    assert [each.title for each in listed] == ["What is 7 + 5?", ("long " * 14)[:69] + "…"]
    assert [(each.turns, each.model) for each in listed] == [(2, "other"), (1, "m")]
    assert turn == 2


def test_other_files_and_conversations_without_a_question_are_not_listed(library: Library) -> None:
    library.new().close()
    assert not library.directory.exists()
    keep(library, "q")
    (library.directory / "notes.jsonl").write_text("x")
    (library.directory / "20260101-000000-abcdef.jsonl").write_bytes(b"\x00\xff not a conversation")
    assert [each.title for each in library.summaries()] == ["q"]


def test_names(library: Library) -> None:
    one, two = keep(library, "one"), keep(library, "two")
    library.rename(one, "  Sums ")
    assert library.find("sums") == one
    assert library.find(two) == two
    assert library.find("last") in (one, two)
    with pytest.raises(SessionError, match="2 conversations are called '20'"):
        library.find("20")
    with pytest.raises(SessionError, match="No conversation is called 'nothing'"):
        library.find("nothing")
    library.rename(one, "")
    assert {each.title for each in library.summaries()} == {"one", "two"}


@pytest.mark.parametrize("id", ["../../etc/passwd", "", "20260101-000000-abcdef", "a/b"])
def test_ids_from_outside_lead_nowhere(library: Library, id: str) -> None:  # noqa: A002
    for verb in (library.open, library.read, library.delete):
        with pytest.raises(SessionError):
            verb(id)


def test_deleting_can_be_undone(library: Library) -> None:
    one, two = keep(library, "one"), keep(library, "two")
    library.delete(one)
    library.delete(two)
    assert library.summaries() == []
    assert set(library.deleted()) == {one, two}
    library.restore(one)
    assert [each.title for each in library.summaries()] == ["one"]
    with pytest.raises(SessionError, match="not among the deleted"):
        library.restore(one)


def test_what_was_deleted_long_ago_goes_for_good(library: Library) -> None:
    old, new = keep(library, "old"), keep(library, "new")
    library.delete(old)
    long_ago = time.time() - (TRASH_DAYS + 1) * 86400
    os.utime(library.trash / f"{old}.jsonl", (long_ago, long_ago))
    library.delete(new)
    assert library.deleted() == [new]


def test_an_open_conversation_is_neither_deleted_nor_renamed(library: Library) -> None:
    id_ = keep(library, "q")
    session = library.open(id_)
    with pytest.raises(SessionError, match="open in another window"):
        library.delete(id_)
    with pytest.raises(SessionError, match="open in another window"):
        library.rename(id_, "x")
    assert library.read(id_).path[0].question == "q"
    session.close()
    library.delete(id_)


def test_search_finds_every_word_anywhere(library: Library) -> None:
    one = keep(library, "The capital of France?", "It is **Paris**.", "France ... its capital")
    two = keep(library, "Straße", "road", "a long thought about PARIS " + "x" * 200)
    assert {hit.id for hit in library.search("paris")} == {one, two}
    (hit,) = library.search("paris france")
    assert (hit.id, hit.title) == (one, "The capital of France?")
    (hit,) = library.search("about")
    assert (hit.where, hit.excerpt) == ("reasoning", "a long thought about PARIS " + "x" * 41 + "…")
    assert [each.id for each in library.search("strasse")] == [two]
    assert library.search("nowhere paris") == library.search("  ") == []


def test_words_that_came_in_pieces_are_found() -> None:
    tree = Tree([Asked(1, 0.0, "q"), Piece(1, answer="Par"), Piece(1, answer="is")])
    hit = find_words("paris", tree, title="t")
    assert hit is not None
    assert (hit.where, hit.turn) == ("answer", 1)


@given(st.text(min_size=1, max_size=30), st.text(max_size=60), st.text(max_size=60))
def test_a_part_of_a_text_is_always_found(word: str, before: str, after: str) -> None:
    tree = Tree([Asked(1, 0.0, before + word + after)])
    hit = find_words(word, tree, title="")
    assert (hit is not None) == bool(word.split())


def test_an_edited_question_is_a_sibling_and_both_stay() -> None:
    records = [Asked(1, 0.0, "a"), Asked(2, 0.0, "b", 1), Asked(3, 0.0, "a2"), Asked(4, 0.0, "b2", 3)]
    tree = Tree(records)
    assert [turn.question for turn in tree.path] == ["a2", "b2"]
    assert tree.siblings(3) == [1, 3]
    assert [turn.id for turn in tree.path_to(2)] == [1, 2]


def test_a_switch_brings_back_what_was_shown_below(library: Library) -> None:
    session = library.new()
    one = session.ask("a", parent=ROOT)
    session.ask("b", parent=one)
    session.ask("a2", parent=ROOT)
    session.choose(one)
    assert [turn.question for turn in session.tree.path] == ["a", "b"]
    session.close()
    assert [turn.question for turn in library.read(session.id).path] == ["a", "b"]


def test_the_texts_of_a_reply_count_where_the_pieces_differ(library: Library) -> None:
    session = library.new()
    turn = session.ask("q", parent=ROOT)
    session.add(turn, answer="12 and som")
    session.end(turn, Reply("", "12", Ending.COMPLETE))
    session.close()
    kept = library.read(session.id).path[0]
    assert (kept.answer, kept.ending) == ("12", Ending.COMPLETE)


def test_a_continued_turn_ends_again() -> None:
    tree = Tree(
        [
            Asked(1, 0.0, "q"),
            Piece(1, "a"),
            Ended(1, Ending.CUT_IN_REASONING, 1.0),
            Piece(1, "b", "c"),
        ]
    )
    assert (tree.path[0].reasoning, tree.path[0].answer, tree.path[0].ending) == ("ab", "c", None)


def test_drafts_are_kept_and_go(library: Library) -> None:
    path = library.new().path
    assert load_draft(path) == Draft()
    save_draft(path, Draft("half a ques\ud800", ("/p/1.png",), ("a.png",)))
    assert load_draft(path) == Draft("half a ques\ud800", ("/p/1.png",), ("a.png",))
    path.with_suffix(".draft").write_bytes(b'{"text": 7, "pictures": [1')
    assert load_draft(path) == Draft()
    save_draft(path, Draft())
    assert not path.with_suffix(".draft").exists()


def test_drafts_of_earlier_versions_are_read(library: Library) -> None:
    path = library.new().path.with_suffix(".draft")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"text": "half", "pictures": ["/p/1.png"], "names": ["a.png"], "process": 1, "mood": 2}')
    assert load_draft(path) == Draft("half", ("/p/1.png",), ("a.png",))


def test_a_recorded_turn_is_saved_for_an_engine(library: Library) -> None:
    session = library.new()
    turn = session.ask("q", parent=ROOT, images=(KeptImage("a.png", "b.png"),))
    session.add(turn, reasoning="hm", answer="so")
    session.close()
    image = str(images_directory() / "b.png")
    assert library.read(session.id).path[0].saved() == SavedTurn("q", (image,), "hm", "so")


def test_the_draft_of_a_conversation_that_never_began_is_taken_over_once(library: Library) -> None:
    save_draft(library.new().path, Draft("lost"))
    begun = library.directory / (keep(library, "q") + ".jsonl")
    save_draft(begun, Draft("belongs to its conversation"))
    assert take_orphan(library.directory) == Draft("lost")
    assert take_orphan(library.directory) == Draft()
    assert load_draft(begun).text


def test_the_draft_of_a_running_program_is_left_to_it(library: Library) -> None:
    source = (
        "import sys\nfrom pathlib import Path\nfrom magistral_mlx.sessions.unsent import *\n"
        "save_draft(Path(sys.argv[1]), Draft('mine'))\nprint('ready', flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", source, library.new().path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        assert take_orphan(library.directory) == Draft()
        program.kill()
    assert take_orphan(library.directory) == Draft("mine")
