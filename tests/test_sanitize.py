"""No character that a terminal acts on survives, however the text is cut."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.sanitize import sanitize, sanitize_line

_ANY_TEXT = st.text(st.characters(exclude_categories=()))


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[2J", "␛[2J"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("\x1b]52;c;Zm9v\x1b\\", "␛]52;c;Zm9v␛\\"),
        ("\x9b31m", "\N{REPLACEMENT CHARACTER}31m"),
        ("yes\rno ", "yes␍no "),
        ("a\x08b\x7f", "a␈b␡"),
        ("one\r\ntwo\tthree\n", "one\ntwo\tthree\n"),
        ("\u202egnp.exe", "\N{REPLACEMENT CHARACTER}gnp.exe"),
        ("name\udcff.png", "name\N{REPLACEMENT CHARACTER}.png"),
        ("é日本語👩\u200d🚀 ∑", "é日本語👩\u200d🚀 ∑"),
    ],
)
def test_hostile_text_is_shown_and_not_obeyed(hostile: str, shown: str) -> None:
    assert sanitize(hostile) == shown


@given(_ANY_TEXT)
def test_only_newline_and_tab_are_left_of_all_controls(text: str) -> None:
    clean = sanitize(text)
    assert all(char in "\n\t" or unicodedata.category(char) not in {"Cc", "Cs"} for char in clean)
    assert sanitize(clean) == clean
    clean.encode("utf-8")


@given(st.lists(st.text(st.characters(exclude_categories=(), exclude_characters="\r"))))
def test_pieces_come_out_as_the_whole_does(pieces: list[str]) -> None:
    assert "".join(map(sanitize, pieces)) == sanitize("".join(pieces))


@given(_ANY_TEXT)
def test_one_line_stays_one_line(text: str) -> None:
    line = sanitize_line(text)
    assert len(line.splitlines()) <= 1
    assert sanitize_line(line) == line
