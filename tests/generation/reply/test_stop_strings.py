"""Stop strings: found wherever the text is cut, and nothing else held back for long."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.generation.reply.stop_strings import StopMatcher

ALPHABET = "ab\n"
TEXTS = st.text(ALPHABET, max_size=30)
STOPS = st.lists(st.text(ALPHABET, min_size=1, max_size=4), max_size=4)


def run(pieces: list[str], stop: list[str]) -> tuple[str, bool]:
    matcher = StopMatcher(stop)
    text = "".join(matcher.push(piece) for piece in pieces)
    return text + matcher.flush(), matcher.matched


def expected(text: str, stop: list[str]) -> tuple[str, bool]:
    """By definition: read on character by character until some stop string ends the text so far."""
    for end in range(1, len(text) + 1):
        starts = [end - len(each) for each in stop if text[:end].endswith(each)]
        if starts:
            return text[: min(starts)], True
    return text, False


@given(text=TEXTS, stop=STOPS, cuts=st.lists(st.integers(0, 30), max_size=8))
def test_result_does_not_depend_on_how_the_text_is_cut(text: str, stop: list[str], cuts: list[int]) -> None:
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[a:b] for a, b in itertools.pairwise(places)]
    assert run(pieces, stop) == expected(text, stop)
    assert run(list(text), stop) == expected(text, stop)


@given(text=TEXTS, stop=STOPS)
def test_only_the_beginning_of_a_stop_string_is_held_back(text: str, stop: list[str]) -> None:
    matcher = StopMatcher(stop)
    released = matcher.push(text)
    held = text[len(released) :]
    if not matcher.matched:
        assert held == "" or any(each.startswith(held) and each != held for each in stop)


def test_nothing_comes_after_a_match() -> None:
    matcher = StopMatcher(["END"])
    assert matcher.push("one EN") == "one "
    assert matcher.push("D two") == ""
    assert matcher.push("three") == ""
    assert matcher.flush() == ""


def test_the_longest_of_two_that_end_together() -> None:
    assert run(["xabc"], ["c", "abc"]) == ("x", True)
    assert run(list("xabc"), ["c", "abc"]) == ("x", True)
