"""The layout: only what is looked at is wrapped at once, and in the end all is as if it had been."""

from hypothesis import given, settings
from hypothesis import strategies as st

from magistral_mlx_tui.text.layout.lines import Item, Line
from magistral_mlx_tui.text.layout.rows import Layout
from magistral_mlx_tui.text.markdown.document import MarkdownDocument

_WORDS = st.text(st.sampled_from("ab c  日|*-\n$1"), max_size=200)
_TABLE = "| a | what |\n|---|---|\n" + "| x | some words that are long |\n" * 60
_FORMULA = "\\[\n\\frac{a}{b} + \\frac{1}{2}\n\\]\n"


def items_of(source: str) -> list[Item]:
    document = MarkdownDocument()
    document.append(source)
    document.finish()
    return list(document.items)


def texts(layout: Layout) -> list[str]:
    return [layout.row(number).text for number in range(layout.height)]


def laid(items: list[Item], width: int) -> Layout:
    layout = Layout(width)
    layout.replace_from(0, items)
    return layout


@settings(max_examples=25)
@given(_WORDS, st.integers(1, 40), st.integers(1, 40), st.integers(0, 30))
def test_settling_later_gives_what_laying_out_at_once_gives(
    source: str, before: int, after: int, looked_at: int
) -> None:
    items = items_of(source + "\n" + _TABLE + _FORMULA + source)
    layout = laid(items, before)
    layout.set_width(after)
    layout.settle_rows(looked_at, 10)
    layout.settle()
    assert layout.settled
    assert texts(layout) == texts(laid(items, after))


def test_settling_takes_no_longer_than_it_may() -> None:
    ticks = iter(range(10_000))
    layout = Layout(20, now=lambda: next(ticks))
    layout.replace_from(0, [Line(f"line {number} of many words") for number in range(100)])
    layout.set_width(10)
    assert not layout.settle(3)
    assert layout.height > 100
    slices = 1
    while not layout.settle(3):
        slices += 1
    assert slices > 20


def test_what_is_looked_at_is_laid_out_first_and_exactly() -> None:
    items: list[Item] = [Line(f"{number} " + "word " * 20) for number in range(200)]
    layout = laid(items, 200)
    top = layout.place_of(100)
    layout.set_width(17)
    while layout.settle_rows(layout.row_at(top), 10):
        pass
    assert layout.row(layout.row_at(top)).text.startswith("100 word")
    assert not layout.settled
    assert not layout.settle_rows(layout.row_at(top), 10)


def test_a_place_outlives_a_change_of_the_width() -> None:
    items: list[Item] = [Line(f"{number} " + "word " * 20) for number in range(50)]
    layout = laid(items, 60)
    place = layout.place_of(layout.row_of(30, 0, 0))
    layout.set_width(25)
    layout.settle()
    assert layout.row(layout.row_at(place)).text.startswith("30 ")


def test_other_items_take_the_place_of_all() -> None:
    layout = laid([Line("a " * 50)], 20)
    layout.reset([Line("b"), Line("c " * 30)])
    layout.settle()
    assert texts(layout) == texts(laid([Line("b"), Line("c " * 30)], 20))
    layout.reset([])
    assert layout.height == 0
    assert layout.settled
    assert layout.place_of(5).item == 0


def test_a_style_that_changes_far_back_is_seen() -> None:
    words = "word " * 100
    layout = Layout(20)
    layout.replace_from(0, [Line(words + "**bold")])
    layout.replace_from(0, [Line(words + "bold")])
    assert texts(layout) == texts(laid([Line(words + "bold")], 20))
