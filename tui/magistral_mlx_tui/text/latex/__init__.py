"""LaTeX mathematics as readable Unicode; the source whenever there is doubt.

A formula is shown in Unicode only if every command in it is known, everything is balanced, and exactly the
digits of the source stand in what is shown. Otherwise these functions return None and the source is shown:
nothing a model calculated can get lost on the way.
"""

import unicodedata
from collections import Counter
from functools import lru_cache

from magistral_mlx_tui.text.latex.box import Box
from magistral_mlx_tui.text.latex.drawing import draw
from magistral_mlx_tui.text.latex.parser import Unreadable, parse


@lru_cache(maxsize=512)
def flat_formula(source: str) -> str | None:
    """A formula (without its delimiters) on one line, for the middle of a sentence; None: show the source."""
    box = _drawn(source, flat=True)
    text = box.rows[0].strip() if box else ""
    return text or None


@lru_cache(maxsize=128)
def display_formula(source: str) -> tuple[str, ...] | None:
    """A formula on as many rows as it needs, fractions and matrices in two dimensions; None: the source."""
    box = _drawn(source, flat=False)
    if box is None or not any(row.strip() for row in box.rows):
        return None
    return tuple(row.rstrip() for row in box.rows)


def _drawn(source: str, *, flat: bool) -> Box | None:
    try:
        box = draw(parse(source), flat=flat)
    except Unreadable:
        return None
    return box if _digits(source) == _digits("".join(box.rows)) else None


def _digits(text: str) -> Counter[int]:
    """How often each digit stands in a text, raised and lowered ones included."""
    return Counter(unicodedata.digit(sign) for sign in text if sign.isdigit())
