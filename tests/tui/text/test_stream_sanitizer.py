"""What arrives is harmless, however it is cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx_tui.text.stream_sanitizer import MOST_MARKS, StreamSanitizer

_HOSTILE = st.text(
    st.one_of(st.sampled_from("a\r\n\t\x1b\u0301\u200d\ufe0f\u202e\u2028"), st.characters()), max_size=40
)


def arrive(*pieces: str) -> str:
    incoming = StreamSanitizer()
    return "".join(map(incoming.push, pieces)) + incoming.finish()


@given(_HOSTILE, st.lists(st.integers(0, 40)))
def test_any_cutting_gives_the_same(text: str, cuts: list[int]) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    assert arrive(*(text[start:end] for start, end in pairwise(edges))) == arrive(text)


@given(_HOSTILE)
def test_nothing_is_left_that_a_terminal_obeys(text: str) -> None:
    clean = arrive(text)
    assert not any(ord(character) < 0x20 and character not in "\n\t" for character in clean)
    assert not any(0x7F <= ord(character) < 0xA0 or 0x202A <= ord(character) <= 0x202E for character in clean)
    assert arrive(clean) == clean


def test_marks_do_not_pile_up() -> None:
    assert arrive("e\u0301", *["\u0301"] * 10_000, "x") == "e" + "\u0301" * MOST_MARKS + "x"


def test_line_ends_of_other_systems() -> None:
    assert arrive("one\r", "\ntwo\u2028three") == "one\ntwo\nthree"


def test_real_scripts_and_emoji_are_untouched() -> None:
    for text in ("é ñ ồ", "नमस्ते", "👩\u200d👩\u200d👧\u200d👦", "❤\ufe0f", "مرحبا"):
        assert arrive(*text) == text
