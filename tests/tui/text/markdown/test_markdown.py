"""Light Markdown: what is marked is styled, nothing is lost, and pieces give what the whole gives."""

import unicodedata
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from magistral_mlx_tui.text.layout.lines import Item, Line, Span
from magistral_mlx_tui.text.markdown.document import MarkdownDocument
from magistral_mlx_tui.text.markdown.inline import LONGEST_STYLED, style_inline
from magistral_mlx_tui.text.markdown.tables import split_cells

_MARKS = [
    *("**", "*", "`", "```", "~~~", "# ", "## ", "- ", "1. ", "> ", "|", " | ", "|---|:--:|", "---"),
    *(
        "$",
        "$$",
        "\\(",
        "\\)",
        "\\[",
        "\\]",
        "\\frac{1}{2}",
        "\\begin{align}",
        "\\end{align}",
        "[x](y)",
        "- [ ] ",
        "    ",
        "\t",
        " ",
        "word",
        "85",
        "x_1",
        "日本",
        "a | b",
    ),
]
_MARKUP = st.lists(
    st.one_of(
        st.sampled_from(["\n", *_MARKS]),
        st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=8),
    ),
    max_size=40,
).map("".join)


def document(*pieces: str) -> MarkdownDocument:
    made = MarkdownDocument()
    for piece in pieces:
        made.append(piece)
    made.finish()
    return made


def lines(source: str, width: int = 60) -> list[Line]:
    """All lines of a document on `width` cells."""
    shown: list[Line] = []
    for item in document(source).items:
        shown += [item] if isinstance(item, Line) else item.lay_out(width)
    return shown


def only(source: str) -> Line:
    (line,) = lines(source)
    return line


def styled(source: str) -> list[tuple[str, str]]:
    text, spans = style_inline(source)
    return [(text[span.start : span.end], span.role) for span in spans]


@pytest.mark.parametrize(
    ("source", "shown", "parts"),
    [
        ("The **sum** is **85**.", "The sum is 85.", [("sum", "bold"), ("85", "bold")]),
        ("an *odd* one", "an odd one", [("odd", "italic")]),
        ("***both***", "both", [("both", "bold")]),
        ("use `a * b` here", "use a * b here", [("a * b", "inline_code")]),
        ("``a`b``", "a`b", [("a`b", "inline_code")]),
        (r"so \(a^2\) and $x_1$", "so a² and x₁", [("a²", "math"), ("x₁", "math")]),
        (r"$\foo{3}$ stays", r"$\foo{3}$ stays", [(r"$\foo{3}$", "math")]),
        ("the $x$-axis, $a+b$", "the x-axis, a + b", [("x", "math"), ("a + b", "math")]),
        (r"**bold $x^2$**", "bold x²", [("bold x²", "bold"), ("x²", "math")]),
        (r"it costs $5, so \boxed{5}", "it costs $5, so [5]", [("[5]", "result")]),
        (r"$\boxed{\frac{1}{2}}$", "[1/2]", [("[1/2]", "result")]),
        ("~~old~~ new", "old new", [("old", "strike")]),
        (
            "[docs](http://a.b/c) x",
            "docs (http://a.b/c) x",
            [("docs", "link"), (" (http://a.b/c)", "marker")],
        ),
        ("`[x](y)`", "[x](y)", [("[x](y)", "inline_code")]),
        ("![a chart](file.png)", "a chart (file.png)", [("a chart", "link"), (" (file.png)", "marker")]),
        ("**use `x` now**", "use x now", [("use x now", "bold"), ("x", "inline_code")]),
    ],
)
def test_marks_become_styles(source: str, shown: str, parts: list[tuple[str, str]]) -> None:
    assert style_inline(source)[0] == shown
    assert styled(source) == parts


@pytest.mark.parametrize(
    "source",
    [
        *("2 * 3 * 4", "2*3*4", "a**b**c", "3 *4* 5", "__init__", "**open", "** no **", "it`s", "* *"),
        *("$5 and $6", "costs $5", r"\*\*literal\*\*", "****", "[/] [@click=x]y[/]", "****bold**"),
        *("US$5 (A$7)", "$5, $6 or $7", r"is \$5 or \$6", "echo $HOME and $PATH", "~/a and ~/b", r"\(open"),
    ],
)
def test_what_is_in_doubt_stays_as_it_is(source: str) -> None:
    assert style_inline(source) == (source, ())


def test_blocks() -> None:
    assert only("## Result") == Line("Result", "heading")
    assert only("- one") == Line("one", lead="• ", hang="  ")
    assert only("  12. twelve") == Line("twelve", lead="  12. ", hang="      ")
    assert only("> said") == Line("said", "quote", lead="▎ ", hang="▎ ")
    assert only("---").role == "rule"
    assert only("#hashtag").role == "text"
    assert only("-5 degrees") == Line("-5 degrees")


def test_code_is_shown_as_it_is() -> None:
    shown = lines("```python\n# no **heading**\n\tx = 1\n```\nafter")
    assert [(line.text, line.role) for line in shown] == [
        ("python", "fence"),
        ("# no **heading**", "code"),
        ("    x = 1", "code"),
        ("after", "text"),
    ]


def test_a_longer_fence_holds_a_shorter_one() -> None:
    shown = lines("````\n```\ninside\n```\n````\nout")
    assert [line.text for line in shown] == ["", "```", "inside", "```", "out"]


def test_a_table_is_aligned() -> None:
    shown = lines("| bar | value |\n|:--|--:|\n| A | 12 |\n| C | **42** |\n\nend")
    assert [line.text for line in shown] == [
        "bar │ value",
        "────┼──────",
        "A   │    12",
        "C   │    42",
        "",
        "end",
    ]
    assert [line.role for line in shown[:3]] == ["table_head", "marker", "table"]
    assert Span(9, 11, "bold") in shown[3].spans


def test_a_wide_table_wraps_its_cells_and_a_very_wide_one_becomes_a_list() -> None:
    source = "| name | what it is |\n|---|---|\n| A | a long explanation of what it is |"
    shown = lines(source, width=24)
    assert len(shown) > 3
    assert all(cell_len(line.text) <= 24 for line in shown)
    assert shown == lines(source, width=24)
    assert len(lines(source, width=80)) == 3
    many = lines("|" + "head|" * 9 + "\n|" + "---|" * 9 + "\n|" + "cell|" * 9, width=30)
    assert sum(line.text == "head: cell" for line in many) == 9


def test_a_large_table_keeps_its_columns_and_all_its_cells() -> None:
    rows = [f"| {number} | {'x' * (number % 9)} |" for number in range(900)]
    shown = lines("\n".join(["| n | x |", "|--:|---|", *rows, "| 1 | 2 | 3 | 4 |", f"| {'y' * 40} | z |"]))
    assert [line.text.split()[0] for line in shown[2:902]] == [str(number) for number in range(900)]
    assert "3" in "".join(line.text for line in shown[902:])
    assert "".join(line.text for line in shown).count("y") == 40


def test_cells_hold_escaped_bars_and_code() -> None:
    assert split_cells(r"| a \| b | `c | d` | e |") == [r"a \| b", "`c | d`", "e"]


@given(_MARKUP, st.lists(st.integers(0, 200)), st.booleans())
def test_any_chunking_gives_the_same_items(source: str, cuts: list[int], as_written: bool) -> None:
    edges = sorted({0, len(source), *(cut for cut in cuts if cut < len(source))})
    pieces = [source[start:end] for start, end in pairwise(edges)]
    streamed, whole = MarkdownDocument(), document(source)
    for made in (streamed, whole):
        made.show_source(as_written)
    kept: list[Item] = []
    for piece in pieces:
        changed = streamed.append(piece)
        assert list(streamed.items[:changed]) == kept[:changed]
        kept = list(streamed.items)
    changed = streamed.finish()
    assert list(streamed.items[:changed]) == kept[:changed]
    assert list(streamed.items) == list(whole.items)
    if as_written:
        written = "\n".join(item.text for item in streamed.items if isinstance(item, Line))
        assert written == source.replace("\t", "    ").removesuffix("\n")


@given(_MARKUP)
def test_no_letter_and_no_digit_is_lost(source: str) -> None:
    def ink(text: str) -> Counter[str]:
        wanted = str.isdigit if "\\" in source else str.isalnum  # a command's letters become a sign
        plain = unicodedata.normalize("NFKC", text)
        return Counter(character for character in plain if wanted(character))

    shown = "".join(line.lead + line.text for line in lines(source, width=400))
    assert ink(shown) == ink(source)


@given(_MARKUP)
def test_spans_lie_within_their_text(source: str) -> None:
    for line in lines(source, width=40):
        assert all(0 <= span.start <= span.end <= len(line.text) for span in line.spans)
        assert "\n" not in line.text
        assert "\t" not in line.text


@pytest.mark.parametrize("mark", ["*", "`", "**a ", "\\(", "$x", "|", "[", "`a ``b ", "- "])
def test_hostile_repetition_is_shown_as_it_is_and_at_once(mark: str) -> None:
    for source in ("x " + mark * (LONGEST_STYLED // len(mark) - 1), "x " + mark * 50_000):
        assert sum(len(line.text) for line in lines(source)) >= len(source) // 4
