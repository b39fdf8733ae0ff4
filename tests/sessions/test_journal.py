"""No written record is lost: by a cut, damage, a full disk, or two programs at once."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.errors import SessionError
from magistral_mlx.events import Ending, Reply, Stats
from magistral_mlx.sessions.journal import Journal, read_records
from magistral_mlx.sessions.records import (
    Asked,
    Began,
    Chosen,
    Ended,
    KeptImage,
    Piece,
    Record,
    Titled,
    decode,
    encode,
)
from magistral_mlx.sessions.session import Session
from magistral_mlx.sessions.tree import ROOT, Tree
from magistral_mlx.storage.messages import Options
from magistral_mlx.storage.paths import images_directory

_TEXTS = st.text(st.characters(codec=None), max_size=20)  # lone surrogates, controls and line separators too
_COUNTS = st.integers(0, 2**40)
_TURNS = st.integers(0, 4)
_IMAGES = st.builds(KeptImage, _TEXTS, _TEXTS, _TEXTS, st.none() | _COUNTS, st.none() | _COUNTS, _COUNTS)
_TIMES = st.floats(0, 2e9)
_RECORDS: st.SearchStrategy[Record] = st.one_of(
    st.builds(Began, _TEXTS, _TIMES),
    st.builds(
        Asked,
        _TURNS,
        _TIMES,
        _TEXTS,
        _TURNS,
        st.lists(_IMAGES, max_size=2).map(tuple),
        _TEXTS,
        st.none() | _TEXTS,
        st.builds(Options, st.booleans(), st.none() | _COUNTS),
    ),
    st.builds(Piece, _TURNS, _TEXTS, _TEXTS, _COUNTS, _COUNTS),
    st.builds(
        Ended,
        _TURNS,
        st.sampled_from(Ending),
        _TIMES,
        st.builds(Stats, _COUNTS),
        _TIMES,
        st.none() | _TEXTS,
        st.none() | _TEXTS,
    ),
    st.builds(Titled, _TEXTS),
    st.builds(Chosen, _TURNS),
)


@given(_RECORDS)
def test_a_record_is_one_line_and_comes_back(record: Record) -> None:
    line = encode(record)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode(line) == record


@given(st.lists(_RECORDS, max_size=6))
def test_any_order_of_records_makes_a_tree(records: list[Record]) -> None:
    tree = Tree(records)
    for turn in tree.path:
        assert turn.id in tree.siblings(turn.id)
        assert tree.path_to(turn.id)[-1] is turn
    assert len(tree.path) <= len(tree.turns)
    assert tree.next_turn not in tree.turns


@given(st.binary(max_size=40))
def test_arbitrary_bytes_are_refused_without_an_exception(line: bytes) -> None:
    assert decode(line) is None or line.strip().startswith(b"{")


@pytest.mark.parametrize(
    "line",
    [
        b"[1]",
        b"null",
        b'{"record":7}',
        b'{"record":"new thing","x":1}',
        b'{"record":"piece"}',
        b'{"record":"piece","turn":"1"}',
        b'{"record":"piece","turn":1,"answer":3}',
        b'{"record":"piece","turn":true}',
        b'{"record":"piece","turn":1,"answer_tokens":1.5}',
        b'{"record":"began","id":"x","at":NaN}',
        b'{"record":"ended","turn":1,"ending":"unheard of","at":1}',
        b"[" * 100_000,
    ],
)
def test_lines_that_are_not_understood(line: bytes) -> None:
    assert decode(line) is None


@pytest.mark.parametrize(
    ("line", "record"),
    [
        (b'{"record":"titled","title":"x","colour":"red"}', Titled("x")),
        (
            b'{"record":"ended","turn":1,"ending":"stopped","at":2,"stats":{"prompt_tokens":3,"watts":4}}',
            Ended(1, Ending.STOPPED, 2.0, Stats(3)),
        ),
        (
            b'{"record":"asked","turn":1,"at":2.0,"options":{"thinking":false,"hurry":1}}',
            Asked(1, 2.0, options=Options(thinking=False)),
        ),
    ],
)
def test_fields_of_a_newer_program_are_passed_over(line: bytes, record: Record) -> None:
    assert decode(line) == record


def test_records_of_earlier_versions_are_read() -> None:
    image = '{"name":"a.png","file":"b.png","format":"PNG","width":3,"height":2,"bytes_count":9}'
    options = (
        '{"thinking":true,"thinking_budget":9,"max_tokens":null,"temperature":0.7,"top_p":null,"seed":null}'
    )
    line = (
        '{"record":"asked","turn":1,"at":2.5,"question":"the key \\"pictures\\": of old",'
        f'"pictures":[{image}],"model":"m","options":{options}}}'
    )
    assert decode(line.encode()) == Asked(
        1,
        2.5,
        'the key "pictures": of old',
        images=(KeptImage("a.png", "b.png", "PNG", 3, 2, 9),),
        model="m",
        options=Options(thinking_budget=9, temperature=0.7),
    )


def test_no_record_leads_out_of_the_folder_of_images() -> None:
    for file in ("a.png", "../../a.png", "/etc/a.png", "..\\a.png"):
        assert KeptImage("x", file).path == images_directory() / "a.png"


def conversation(path: Path) -> None:
    session = Session(path, clock=lambda: 1.0)
    turn = session.ask("What is 7 + 5? äé\u2028😀", parent=ROOT, model="m")
    for _ in range(2):
        session.add(turn, reasoning="7 + 5 → ", reasoning_tokens=4)
        session.flush()
    session.add(turn, answer="**12** 😀", answer_tokens=2)
    session.end(turn, Reply("7 + 5 → 7 + 5 → ", "**12** 😀", Ending.COMPLETE))
    session.rename("Sums")
    session.close()


def test_a_file_that_is_cut_at_any_byte_opens_and_loses_at_most_the_last_record(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    conversation(whole)
    data = whole.read_bytes()
    records, damaged = read_records(whole)
    assert damaged == 0
    ends = [index + 1 for index, byte in enumerate(data) if byte == ord("\n")]
    cut = tmp_path / "cut.jsonl"
    for length in range(len(data) + 1):
        cut.write_bytes(data[:length])
        finished = sum(end <= length for end in ends)
        expected = records[: finished + (length + 1 in ends)]  # only its newline is missing
        assert read_records(cut)[0] == expected
        session = Session(cut)
        turn = session.ask("and now?", parent=session.tree.path[-1].id if session.tree.turns else ROOT)
        session.close()
        kept = read_records(cut)[0]
        assert kept[: len(expected)] == expected
        assert isinstance(kept[-1], Asked)
        assert (kept[-1].turn, kept[-1].question) == (turn, "and now?")
        assert cut.read_bytes().startswith(data[:length])


@given(st.data())
def test_damage_in_the_middle_costs_only_the_lines_it_hits(data: st.DataObject) -> None:
    records = data.draw(st.lists(_RECORDS, min_size=1, max_size=8))
    lines = [encode(record) for record in records]
    hit = data.draw(st.integers(0, len(lines) - 1))
    lines[hit] = data.draw(st.binary(max_size=30).map(lambda junk: junk.replace(b"\n", b"") + b"\n"))
    found = [decode(line) for line in lines]
    assert [each for at, each in enumerate(found) if at != hit] == [
        record for at, record in enumerate(records) if at != hit
    ]


def test_a_full_disk_is_reported_and_written_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(tmp_path / "c.jsonl")
    turn = session.ask("q", parent=ROOT)
    write, room = os.write, [20]

    def narrow(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = min(room[0], len(data))
        room[0] -= taken
        return write(descriptor, bytes(data[:taken]))

    monkeypatch.setattr(os, "write", narrow)
    session.add(turn, answer="much text " * 300, answer_tokens=600)
    assert "No space left on device" in session.trouble
    assert "kept in memory" in session.trouble
    session.add(turn, answer="the end")
    session.flush()
    assert session.waiting
    room[0] = 10**9
    session.flush()
    assert not session.trouble
    assert not session.waiting
    session.close()
    tree = Tree(read_records(tmp_path / "c.jsonl")[0])
    assert tree.turns[turn].answer == "much text " * 300 + "the end"


def test_a_folder_that_cannot_be_made_is_reported_and_written_later(tmp_path: Path) -> None:
    (tmp_path / "sessions").write_text("in the way")
    session = Session(tmp_path / "sessions/c.jsonl")
    session.ask("q", parent=ROOT)
    assert session.trouble
    (tmp_path / "sessions").unlink()
    session.flush()
    assert not session.trouble
    session.close()
    assert [turn.question for turn in Session(session.path).tree.path] == ["q"]


def test_a_file_belongs_to_one_at_a_time(tmp_path: Path) -> None:
    conversation(tmp_path / "c.jsonl")
    first = Journal(tmp_path / "c.jsonl")
    with pytest.raises(SessionError, match="open in another window"):
        Session(tmp_path / "c.jsonl")
    assert len(read_records(tmp_path / "c.jsonl")[0]) == 7  # reading is always possible
    first.close()
    Session(tmp_path / "c.jsonl").close()


def test_a_folder_may_be_private_and_a_file_too(tmp_path: Path) -> None:
    conversation(tmp_path / "private/c.jsonl")
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "private/c.jsonl").stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_opened_says_so(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").mkdir()
    with pytest.raises(SessionError, match="cannot be opened"):
        Session(tmp_path / "c.jsonl")


_WRITER = """
import sys
from pathlib import Path
from magistral_mlx.sessions.session import Session
session = Session(Path(sys.argv[1]))
turn, number = session.ask("q", parent=0), 0
while True:
    session.add(turn, reasoning=f"{number} ", reasoning_tokens=1)
    session.flush()
    number += 1
    if number == 200:
        print("ready", flush=True)
"""


def test_a_killed_program_leaves_everything_it_flushed_and_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    with subprocess.Popen([sys.executable, "-c", _WRITER, path], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        with pytest.raises(SessionError, match="open in another window"):
            Session(path)
        writer.kill()
    session = Session(path)
    words = session.tree.path[0].reasoning.split()
    assert words == [str(number) for number in range(len(words))]
    assert len(words) >= 200
    session.close()
