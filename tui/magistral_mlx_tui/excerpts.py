"""Parts of an answer that people want to copy alone: code blocks and formulas, as the model wrote them."""

import re

_FENCE = re.compile(
    r"^ {0,3}(?P<fence>`{3,}|~{3,})[^\n]*\n(?P<code>.*?)(?:^ {0,3}(?P=fence)[`~]*[ \t]*$|\Z)", re.M | re.S
)
_FORMULA = re.compile(
    r"\$\$(?P<display>.+?)\$\$|\\\[(?P<bracket>.+?)\\\]|\\\((?P<round>.+?)\\\)"
    r"|(?<![\\$\w])\$(?P<dollar>[^\s$](?:[^$\n]*[^\s$])?)\$(?!\d)",
    re.S,
)


def code_blocks(text: str) -> list[str]:
    """The code between fences, without them; an open fence ends with the text."""
    return [match["code"] for match in _FENCE.finditer(text)]


def formulas(text: str) -> list[str]:
    """The LaTeX sources, without their delimiters, outside of code blocks."""
    outside = _FENCE.sub("", text)
    return [
        next(part for part in match.groups() if part is not None).strip()
        for match in _FORMULA.finditer(outside)
    ]
