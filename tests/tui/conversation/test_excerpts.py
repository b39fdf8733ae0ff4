"""Code blocks and formulas are found as the model wrote them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.storage.messages import Options
from magistral_mlx_tui.conversation.exporting import code_blocks, formulas
from magistral_mlx_tui.conversation.thinking import parse_thinking, thinking_label, thinking_words


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("no code, `inline` only", []),
        ("a\n```python\nx = 1\n```\nb\n~~~\ny\n~~~\n", ["x = 1\n", "y\n"]),
        ("````\n```\ninner\n```\n````", ["```\ninner\n```\n"]),
        ("```\nstill open", ["still open"]),
        ("```\n```", [""]),
    ],
)
def test_code_blocks(text: str, blocks: list[str]) -> None:
    assert code_blocks(text) == blocks


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        (r"so $x_1 + 1$ and \(y\) and \[ z \] and $$w$$", ["x_1 + 1", "y", "z", "w"]),
        ("from $5 to $10", []),
        ("```\n$x$\n```", []),
        ("a multi\n$$\n\\frac{1}{2}\n$$", [r"\frac{1}{2}"]),
    ],
)
def test_formulas(text: str, sources: list[str]) -> None:
    assert formulas(text) == sources


@given(st.text(alphabet="`~$\\[]() \nab", max_size=200))
def test_any_text_has_excerpts_that_stand_in_it(text: str) -> None:
    for part in [*code_blocks(text), *formulas(text)]:
        assert part in text


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("off", Options(thinking=False)),
        ("ON", Options()),
        ("500", Options(thinking_budget=500)),
        ("", Options(thinking=False)),
        ("maybe", None),
        ("-1", None),
    ],
)
def test_thinking_is_wished_for_in_a_word(wish: str, expected: Options | None) -> None:
    assert parse_thinking(wish, Options()) == expected


def test_thinking_has_words() -> None:
    assert thinking_label(Options()) == ""
    assert thinking_label(Options(thinking=False)) == "thinking off"
    assert "1,500" in thinking_label(Options(thinking_budget=1500))
    assert (
        len(
            {
                thinking_words(each)
                for each in (Options(), Options(thinking=False), Options(thinking_budget=9))
            }
        )
        == 3
    )
