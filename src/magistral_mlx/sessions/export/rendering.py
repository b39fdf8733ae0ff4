"""Markdown of a model to HTML that holds no markup of the model's own (adapter of markdown-it-py)."""

from collections.abc import Sequence
from html import escape

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

_FORMULAS = (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$"))


def render_markdown(text: str) -> str:
    """HTML for `text`: HTML in it becomes text, pictures become links, links lead to the web or to mail."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.disable(["image", "html_block", "html_inline"])
    markdown.inline.ruler.before("escape", "formula", _formula)
    # The library's documented way to choose which links are links.
    markdown.validateLink = _is_plain_link  # type: ignore[method-assign]
    markdown.add_render_rule("formula", _formula_html)
    return str(markdown.render(text.encode("utf-8", "replace").decode()))


def _formula_html(
    _renderer: object, tokens: Sequence[Token], index: int, _options: object, _env: object
) -> str:
    return f"<code>{escape(tokens[index].content)}</code>"


def _is_plain_link(url: str) -> bool:
    return url.lower().startswith(("http://", "https://", "mailto:"))


def _formula(state: StateInline, silent: bool) -> bool:
    """LaTeX between dollars or escaped brackets keeps its backslashes and underscores."""
    for opening, closing in _FORMULAS:
        if not state.src.startswith(opening, state.pos):
            continue
        start = state.pos + len(opening)
        end = state.src.find(closing, start)
        inside = state.src[start:end]
        if (
            end < 0
            or not inside.strip()
            or (opening == "$" and not _is_formula(inside, state.src[end + 1 :]))
        ):
            continue
        if not silent:
            state.push("formula", "", 0).content = opening + inside + closing
        state.pos = end + len(closing)
        return True
    return False


def _is_formula(inside: str, after: str) -> bool:
    """Two prices in one sentence are no formula (Pandoc's rule for dollars)."""
    return not inside[0].isspace() and not inside[-1].isspace() and not after[:1].isdigit()
