"""Wrapping: nothing lost, nothing too wide, and growing gives what wrapping the whole would give."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len, get_character_cell_size

from magistral_mlx_tui.text.layout import wrap
from magistral_mlx_tui.text.layout.lines import Line
from magistral_mlx_tui.text.layout.rows import Layout

_NARROW_TEXT = st.text(st.sampled_from("ab c  de.—∑│"), max_size=60)
_ANY_TEXT = st.text(
    st.one_of(
        st.sampled_from("ab c  日本語👩🚀❤\u200d\ufe0f\u0301é"),
        st.characters(exclude_categories=("Cc", "Cs")),
    ),
    max_size=60,
)
_WIDTHS = st.integers(1, 30)


def rows(text: str, width: int) -> list[str]:
    starts = wrap.wrap_rows(text, start=0, first_width=width, width=width)
    return [text[start:end] for start, end in pairwise([*starts, len(text)])]


def test_words_stay_whole_and_spaces_hang() -> None:
    assert rows("the quick brown fox", 10) == ["the quick ", "brown fox"]
    assert rows("exactly10c next", 10) == ["exactly10c ", "next"]
    assert rows("    indented", 8) == ["    inde", "nted"]
    assert rows("a verylongwordindeed", 8) == ["a ", "verylong", "wordinde", "ed"]


def test_wide_characters_break_anywhere_but_never_in_half() -> None:
    assert rows("日本語のテキスト", 5) == ["日本", "語の", "テキ", "スト"]
    assert rows("ab 日本", 6) == ["ab 日", "本"]
    assert rows("👩\u200d🚀👩\u200d🚀", 2) == ["👩\u200d🚀", "👩\u200d🚀"]


def test_the_fast_path_holds_only_characters_of_one_cell() -> None:
    narrow = [chr(code) for code in range(0x2000, 0x2A00) if wrap.is_narrow(chr(code))]
    narrow += [chr(code) for code in range(0x20, 0x500) if wrap.is_narrow(chr(code))]
    assert len(narrow) > 1000
    assert {get_character_cell_size(character) for character in narrow} == {1}
    assert not wrap.is_narrow("\u200d")


@given(_ANY_TEXT, _WIDTHS)
def test_rows_are_the_text_and_fit(text: str, width: int) -> None:
    found = rows(text, width)
    assert "".join(found) == text
    for row in found:
        one_character = len(wrap.clip_cells(row, 1)) <= 1 or cell_len(row.rstrip(" ")) <= 2
        assert cell_len(row.rstrip(" ")) <= width or one_character


@given(_NARROW_TEXT, _WIDTHS)
def test_both_paths_agree(text: str, width: int) -> None:
    wide = wrap._wrap_wide(text, 0, width, width)  # pyright: ignore[reportPrivateUsage] - the two halves of one rule
    assert wide == wrap._wrap_narrow(text, 0, width, width)  # pyright: ignore[reportPrivateUsage] - as above


@given(st.lists(st.lists(_ANY_TEXT, min_size=1, max_size=6), min_size=1, max_size=4), _WIDTHS, st.booleans())
def test_growing_gives_what_wrapping_the_whole_gives(
    lines: list[list[str]], width: int, bullet: bool
) -> None:
    lead, hang = ("• ", "  ") if bullet else ("", "")
    grown = Layout(width)
    for index, pieces in enumerate(lines):
        for count in range(1, len(pieces) + 1):
            before = [grown.row(number) for number in range(grown.height)]
            changed = grown.replace_from(index, [Line("".join(pieces[:count]), lead=lead, hang=hang)])
            after = [grown.row(number) for number in range(grown.height)]
            assert [row.text for row in before[:changed]] == [row.text for row in after[:changed]]
    whole = Layout(width)
    whole.replace_from(0, [Line("".join(pieces), lead=lead, hang=hang) for pieces in lines])
    assert [grown.row(number).text for number in range(grown.height)] == [
        whole.row(number).text for number in range(whole.height)
    ]


def test_what_leads_a_line_is_not_cut_off_on_a_very_narrow_pane() -> None:
    layout = Layout(7)
    layout.replace_from(0, [Line("item", lead="    1. ", hang="       ")])
    assert [layout.row(number).text for number in range(layout.height)] == ["1. item"]


@given(_ANY_TEXT, st.integers(0, 20))
def test_clipping_and_padding_keep_to_their_width(text: str, width: int) -> None:
    assert cell_len(wrap.clip_cells(text, width)) <= max(width, 0)
    assert cell_len(wrap.pad_cells(wrap.clip_cells(text, width), width)) == width
