"""A conversation as one HTML page that loads nothing and runs nothing.

All foreign text is escaped. markdown-it-py renders the answers, with raw HTML and images switched off;
formulas stay source. A content security policy tells the browser the same. The page holds the images of
questions as data.
"""

import base64
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from magistral_mlx.sessions.export.words import day, ending_words, image_words, thought_figures
from magistral_mlx.sessions.library import title_of
from magistral_mlx.sessions.records import KeptImage
from magistral_mlx.sessions.tree import Tree, Turn

_SHOWN_BY_BROWSERS = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
}
_KEPT_NAME = re.compile(r"[0-9a-f]{64}\.[a-z0-9]{1,5}")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_STYLE = """
:root { color-scheme: light dark; --dim: #6b6b6b; --line: #ddd; --accent: #d9480f; }
@media (prefers-color-scheme: dark) { :root { --dim: #9a9a9a; --line: #333; --accent: #ff8a3d; } }
body { max-width: 46rem; margin: 3rem auto; padding: 0 1.2rem; font: 1rem/1.6 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.3; }
.dim, summary { color: var(--dim); font-size: .9rem; }
.question { border-left: .25rem solid var(--accent); padding-left: 1rem; margin-top: 2.5rem; }
.verbatim { white-space: pre-wrap; overflow-wrap: anywhere; }
.question img { max-width: 100%; height: auto; margin-top: .6rem; }
details { margin: 1rem 0; border-left: .25rem solid var(--line); padding-left: 1rem; }
pre { overflow-x: auto; padding: .8rem; border: 1px solid var(--line); border-radius: .4rem; }
table { border-collapse: collapse; } td, th { border: 1px solid var(--line); padding: .3rem .6rem; }
code, pre { font-family: ui-monospace, Menlo, monospace; font-size: .92em; }
""".strip()


def to_html(tree: Tree, *, reasoning: bool) -> str:
    """Return a page of the turns on the shown path."""
    title = escape(title_of(tree) or "Conversation")
    turns = "\n".join(_turn(turn, reasoning=reasoning) for turn in tree.path)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>
{_STYLE}
</style>
</head>
<body>
<h1>{title}</h1>
<p class="dim">{escape(day(tree.began_at))}</p>
{turns}
</body>
</html>
"""


def _turn(turn: Turn, *, reasoning: bool) -> str:
    images = "".join(_image(each) for each in turn.images)
    parts = [
        f'<section class="question"><div class="verbatim">{_text(turn.question)}</div>{images}</section>'
    ]
    if reasoning and turn.reasoning.strip():
        summary = f"Reasoning, {escape(thought_figures(turn))}"
        parts.append(
            f"<details><summary>{summary}</summary>"
            f'<div class="verbatim">{_text(turn.reasoning.strip())}</div></details>'
        )
    parts.append(f"<section>{render_markdown(turn.answer)}</section>")
    closing = [escape(turn.model)] if turn.model else []
    closing += [escape(words)] if (words := ending_words(turn)) else []
    if closing:
        parts.append(f'<p class="dim">{" · ".join(closing)}</p>')
    return "\n".join(parts)


def _image(image: KeptImage) -> str:
    words = escape(image_words(image))
    data = _bytes_of(image)
    kind = _SHOWN_BY_BROWSERS.get(Path(image.file).suffix)
    if data is None or kind is None:
        return f'<p class="dim">Image: {words}</p>'
    return f'<img alt="{words}" title="{words}" src="data:{kind};base64,{base64.b64encode(data).decode()}">'


def _bytes_of(image: KeptImage) -> bytes | None:
    """Return None if they are gone, or if the record does not name a kept image."""
    if not _KEPT_NAME.fullmatch(image.file):
        return None
    try:
        return image.path.read_bytes()
    except OSError:
        return None


def _text(text: str) -> str:
    return escape(text.encode("utf-8", "replace").decode())


_FORMULAS = (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$"))


def render_markdown(text: str) -> str:
    """Return HTML for Markdown: raw HTML becomes text, images become links, links lead to web or mail."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.disable(["image", "html_block", "html_inline"])
    markdown.inline.ruler.before("escape", "formula", _formula)
    # The library's documented way to restrict links.
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
    """Keep the backslashes and underscores of LaTeX between dollars or escaped brackets."""
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
    """Tell a formula from two prices in one sentence (Pandoc's rule for dollars)."""
    return not inside[0].isspace() and not inside[-1].isspace() and not after[:1].isdigit()
