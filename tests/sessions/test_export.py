"""Exports: complete, honest about endings, and harmless whatever the model wrote."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.errors import SessionError, UsageError
from magistral_mlx.events import Ending, Stats
from magistral_mlx.sessions.export.as_html import render_markdown
from magistral_mlx.sessions.export.formats import Format, export, free_name, write_export
from magistral_mlx.sessions.records import Asked, Began, Ended, KeptImage, Piece, Record, Titled
from magistral_mlx.sessions.tree import Tree
from magistral_mlx.storage.paths import images_directory

_PNG = "a" * 64 + ".png"
_HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![](https://evil.example/track.png)",
    '"><svg onload=alert(1)>',
    "</div></details><h1>out",
    "<style>*{}</style>",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "<http://ok.example> \ud800 \x00",
    "```html\n<b>\n```",
]
_FOREIGN = st.text(max_size=40) | st.lists(st.sampled_from(_HOSTILE), max_size=4).map(" ".join)


def tree(*, answer: str = "It is **12**.", reasoning: str = "7 + 5\n= 12") -> Tree:
    records: list[Record] = [
        Began("20261124-120000-abcdef", 1.0),
        Titled("Sums"),
        Asked(1, 2.0, "first wording", model="m"),
        Ended(1, Ending.COMPLETE, 2.5),
        Asked(2, 3.0, "What is 7 + 5?", images=(KeptImage("a b.png", _PNG, "PNG", 4, 3, 9),), model="m"),
        Piece(2, reasoning, answer, 9, 5),
        Ended(2, Ending.COMPLETE, 4.0, Stats(answer_tokens=5), 2.0),
        Asked(3, 5.0, "and now?", 2),
        Piece(3, "hm"),
        Ended(3, Ending.CUT_IN_REASONING, 6.0),
    ]
    return Tree(records)


def test_markdown_reads_well() -> None:
    text = export(tree(), Format.MARKDOWN)
    assert text.startswith("# Sums\n")
    assert "## Question 1\n\nWhat is 7 + 5?\n\n*Image: a b.png, 4×3*" in text
    assert "### Reasoning (9 tokens, 2 s)\n\n> 7 + 5\n> = 12\n\n### Answer (m)\n\nIt is **12**.\n" in text
    assert "*Cut off while reasoning: there is no answer.*" in text
    assert "first wording" not in text


@pytest.mark.parametrize("form", list(Format))
def test_the_reasoning_can_be_left_out(form: Format) -> None:
    whole = tree(reasoning="secret thought")
    assert "secret thought" in export(whole, form)
    assert "secret thought" not in export(whole, form, reasoning=False)
    assert "12" in export(whole, form, reasoning=False)


def test_json_holds_every_branch() -> None:
    whole = json.loads(export(tree(), Format.JSON))
    assert whole["path"] == [2, 3]
    assert [turn["question"] for turn in whole["turns"]] == ["first wording", "What is 7 + 5?", "and now?"]
    assert [turn["parent"] for turn in whole["turns"]] == [None, None, 2]
    assert whole["turns"][1]["reasoning"] == "7 + 5\n= 12"
    assert whole["turns"][1]["pictures"][0]["file"] == _PNG
    assert whole["turns"][2]["ending"] == "cut_in_reasoning"


class _Page(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_is_one_page_with_its_images_inside() -> None:
    images_directory().mkdir(parents=True)
    (images_directory() / _PNG).write_bytes(b"png bytes")
    page = export(tree(answer="| a | b |\n|-|-|\n| 1 | $x_1 + y_1$ |"), Format.HTML)
    assert "data:image/png;base64,cG5nIGJ5dGVz" in page
    assert "<td><code>$x_1 + y_1$</code></td>" in page
    assert "<h1>Sums</h1>" in page
    (images_directory() / _PNG).unlink()
    assert "Image: a b.png" in export(tree(), Format.HTML)


def test_html_names_no_file_that_a_record_asks_for(tmp_path: Path) -> None:
    outside = tmp_path / "secret.png"
    outside.write_bytes(b"secret")
    records: list[Record] = [Asked(1, 0.0, "q", images=(KeptImage("x", f"../../{outside}"),))]
    assert "base64" not in export(Tree(records), Format.HTML)


@given(_FOREIGN, _FOREIGN, _FOREIGN)
def test_html_runs_and_loads_nothing(question: str, thought: str, answer: str) -> None:
    records: list[Record] = [
        Titled(question),
        Asked(1, 0.0, question, images=(KeptImage(question, thought),), model=answer),
        Piece(1, thought, answer),
    ]
    page = _Page(export(Tree(records), Format.HTML))
    assert {tag for tag, _ in page.tags} <= _ALLOWED
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert "src" not in attributes or (attributes["src"] or "").startswith("data:image/")
        if tag == "a":
            assert (attributes["href"] or "").lower().startswith(("http://", "https://", "mailto:"))
        assert "style" not in attributes


_ALLOWED = {"html", "head", "meta", "title", "style", "body", "section", "div", "details", "summary", "p"}
_ALLOWED |= {"h1", "h2", "h3", "h4", "h5", "h6", "strong", "em", "code", "pre", "a", "blockquote", "ul", "ol"}
_ALLOWED |= {"li", "hr", "br", "img", "table", "thead", "tbody", "tr", "th", "td"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"\(a_1\_b\)", r"<code>\(a_1\_b\)</code>"),
        (r"\[\frac{1}{2}\]", r"<code>\[\frac{1}{2}\]</code>"),
        ("$$x^2$$", "<code>$$x^2$$</code>"),
        ("from $5 to $10", "from $5 to $10"),
        ("`$x$`", "<code>$x$</code>"),
    ],
)
def test_formulas_keep_their_source(text: str, shown: str) -> None:
    assert render_markdown(text) == f"<p>{shown}</p>\n"


def test_names_of_files(tmp_path: Path) -> None:
    whole = tree()
    path = free_name(whole, Format.MARKDOWN, tmp_path)
    assert path.name == "sums.md"
    write_export("text", path)
    assert free_name(whole, Format.MARKDOWN, tmp_path).name == "sums-2.md"
    with pytest.raises(SessionError, match="exists already"):
        write_export("other", path)
    assert path.read_text() == "text"
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(SessionError, match="cannot be written"):
        write_export("text", tmp_path / "no/such/folder.md")
    odd = Tree([Titled("../../etc/passwd \x1b[2J 日本"), Asked(1, 0.0, "q")])
    assert free_name(odd, Format.HTML, tmp_path).name == "etc-passwd-2j-日本.html"


def test_the_name_says_the_format() -> None:
    assert Format.of(Path("a.HTM")) is Format.HTML
    assert Format.of(Path("a.markdown")) is Format.MARKDOWN
    with pytest.raises(UsageError, match="is not known"):
        Format.of(Path("a.txt"))
