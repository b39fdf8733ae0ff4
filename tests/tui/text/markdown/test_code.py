"""Code is highlighted line by line: what is open goes over to the next line, and no input is slow or lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx_tui.text.layout.lines import Line
from magistral_mlx_tui.text.markdown.code import highlight, language_of
from magistral_mlx_tui.text.markdown.document import MarkdownDocument
from magistral_mlx_tui.text.markdown.languages import LANGUAGES


def parts(source: str, info: str) -> list[tuple[str, str]]:
    """Every part with a role of its own, over all lines."""
    found: list[tuple[str, str]] = []
    opened = None
    for line in source.split("\n"):
        spans, opened = highlight(line, language_of(info), opened)
        found += [(line[span.start : span.end], span.role) for span in spans]
    return found


@pytest.mark.parametrize(
    ("info", "source", "found"),
    [
        ("python", "def f(x):  # why", [("def", "keyword"), ("f", "name"), ("# why", "comment")]),
        ("py", 'x = "a # b" + 12.5e3', [('"a # b"', "string"), ("12.5e3", "number")]),
        ("python", '"""one\ntwo""" if', [('"""one', "string"), ('two"""', "string"), ("if", "keyword")]),
        ("python", "@cache", [("@cache", "name")]),
        ("c", "/* a\nb */ int x;", [("/* a", "comment"), ("b */", "comment"), ("int", "keyword")]),
        ("js", "const s = `a\n${b}`", [("const", "keyword"), ("`a", "string"), ("${b}`", "string")]),
        ("bash", "if [ $HOME ]; # x", [("if", "keyword"), ("$HOME", "name"), ("# x", "comment")]),
        ("sql", "SELECT 1 -- x", [("SELECT", "keyword"), ("1", "number"), ("-- x", "comment")]),
        ("json", '{"a": true}', [('"a"', "string"), ("true", "keyword")]),
        ("rust", "fn main() { let x = 'a; }", [("fn", "keyword"), ("main", "name"), ("let", "keyword")]),
        ("html", "<!-- a\nb --> <p>", [("<!-- a", "comment"), ("b -->", "comment")]),
        ("python", 'print("open', [("print", "name"), ('"open', "string")]),
        ("no such language", "def f(): 12", []),
        ("", "def f(): 12", []),
    ],
)
def test_parts_have_their_roles(info: str, source: str, found: list[tuple[str, str]]) -> None:
    assert parts(source, info) == found


def test_a_fence_keeps_its_language_and_its_state() -> None:
    document = MarkdownDocument()
    document.append('```python\n"""a\nb"""\nreturn 1\n```\nreturn')
    document.finish()
    shown = [item for item in document.items if isinstance(item, Line)]
    assert [[span.role for span in line.spans] for line in shown] == [
        [],
        ["string"],
        ["string"],
        ["keyword", "number"],
        [],
    ]


def test_a_fence_in_a_list_loses_its_indentation() -> None:
    document = MarkdownDocument()
    document.append("1. so:\n   ```python\n   if x:\n       y\n   ```\n2. on")
    document.finish()
    assert [item.text for item in document.items if isinstance(item, Line)] == [
        *("so:", "python", "if x:", "    y", "on"),
    ]


@given(st.sampled_from(sorted(LANGUAGES)), st.lists(st.text(st.characters(exclude_categories=("Cc", "Cs")))))
def test_spans_lie_within_their_line_and_never_overlap(info: str, lines: list[str]) -> None:
    opened = None
    for line in lines:
        spans, opened = highlight(line, language_of(info), opened)
        position = 0
        for span in spans:
            assert position <= span.start <= span.end <= len(line)
            position = span.end


@pytest.mark.parametrize(
    "mark", ['"', "'", "\\", '"\\', "/*", "*/", "#", "a", "(", "0x", "`", "$", "${", "@a.", "-"]
)
def test_hostile_code_is_done_at_once(mark: str) -> None:
    for info in ("python", "js", "bash", "c", "lua"):
        highlight(mark * (1_000_000 // len(mark)), language_of(info), None)
