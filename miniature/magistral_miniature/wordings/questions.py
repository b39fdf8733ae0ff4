"""Every kind of question with its list of wordings, the grammars of further ones and what it is about."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from magistral_miniature.wordings.files import everyday, of_writers, templates, word_lists
from magistral_miniature.wordings.grammars import Grammars
from magistral_miniature.wordings.lists import bars as bars
from magistral_miniature.wordings.lists import general as general
from magistral_miniature.wordings.lists import pictures as pictures
from magistral_miniature.wordings.lists import talk as talk
from magistral_miniature.wordings.lists.change import (
    DISTANCE_PARTS,
    GROW_PARTS,
    GROW_STORIES,
    SHRINK_PARTS,
    SHRINK_STORIES,
)
from magistral_miniature.wordings.lists.charts import SHORTEST_PARTS, TALLEST_PARTS, VALUE_PARTS
from magistral_miniature.wordings.lists.grids import COUNT_PARTS, DESCRIBE_PARTS
from magistral_miniature.wordings.lists.identity import IDENTITY_PARTS
from magistral_miniature.wordings.lists.more_than import MORE_THAN_PARTS
from magistral_miniature.wordings.lists.numbers import ADDITION, DIFFERENCE, MORE_THAN, SUBTRACTION
from magistral_miniature.wordings.lists.places import CELL_PARTS
from magistral_miniature.wordings.lists.stories import LEFT_OVER_STORIES, TOGETHER_STORIES
from magistral_miniature.wordings.lists.sums import (
    ADDITION_PARTS,
    DIFFERENCE_PARTS,
    LEFT_OVER_PARTS,
    SUBTRACTION_PARTS,
)
from magistral_miniature.wordings.variation import Subject

__all__ = ["QUESTIONS", "Wordings"]


@dataclass(frozen=True, eq=False, repr=False)
class Wordings:
    """The ways to ask one kind of question.

    Attributes:
        listed: templates; every seventh is not drawn in training.
        about: what the question is about, which decides the words that can stand for each other.
        parts: grammars that training draws from besides.
        written: templates by writers who had not seen the list; every seventh is not drawn in training.
        blind: templates for the measured table alone, by writer.
        slots: what stands in slots, where a wording brings its own.
    """

    listed: tuple[str, ...]
    about: Subject = "talk"
    parts: Grammars = ()
    written: tuple[str, ...] = field(default=(), repr=False)
    blind: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    slots: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_DECLINED = word_lists("declined")
_GENERAL_SLOTS = {
    name: (*general.SLOTS.get(name, ()), *_DECLINED.get(name, ())) for name in {*general.SLOTS, *_DECLINED}
}
_IDENTITY = IDENTITY_PARTS + 2 * everyday("identity", "identity")
_TOGETHER = ADDITION_PARTS + TOGETHER_STORIES + GROW_PARTS + GROW_STORIES
_LEFT_OVER = LEFT_OVER_PARTS + LEFT_OVER_STORIES + MORE_THAN_PARTS + SHRINK_STORIES

_KINDS: Mapping[str, tuple[tuple[str, ...], Subject, Grammars]] = {
    "add": (ADDITION, "numbers", _TOGETHER + everyday("sums", "added") + everyday("stories", "gained")),
    "subtract": (SUBTRACTION, "numbers", SUBTRACTION_PARTS + SHRINK_PARTS + everyday("sums", "taken")),
    "more than": (MORE_THAN, "numbers", _LEFT_OVER + everyday("stories", "lost")),
    "difference": (DIFFERENCE, "numbers", DIFFERENCE_PARTS + DISTANCE_PARTS + everyday("sums", "apart")),
    "describe": (pictures.DESCRIBE, "grid", DESCRIBE_PARTS + 2 * everyday("grids", "describe")),
    "describe grid": (pictures.DESCRIBE_GRID, "grid", everyday("grids", "all_shapes")),
    "describe chart": (bars.DESCRIBE_CHART, "chart", everyday("charts", "all_bars")),
    "count": (pictures.COUNT, "grid", COUNT_PARTS + everyday("grids", "count")),
    "cell": (pictures.CELL, "grid", CELL_PARTS + everyday("grids", "cell")),
    "size": (pictures.SIZE, "grid", ()),
    "bars": (bars.BARS, "chart", ()),
    "tallest": (bars.TALLEST, "chart", TALLEST_PARTS + 2 * everyday("charts", "tallest")),
    "shortest": (bars.SHORTEST, "chart", SHORTEST_PARTS + 2 * everyday("charts", "shortest")),
    "value": (bars.VALUE, "chart", VALUE_PARTS + everyday("charts", "value")),
    "other": (pictures.OTHER, "grid", everyday("talk", "other")),
    "identity": (talk.IDENTITY, "talk", _IDENTITY),
    "abilities": (talk.ABILITIES, "talk", _IDENTITY),
    "greetings": (talk.GREETINGS, "talk", everyday("talk", "greetings")),
    "thanks": (talk.THANKS, "talk", everyday("talk", "thanks")),
    "byes": (talk.BYES, "talk", everyday("talk", "byes")),
    "other numbers": (talk.OTHER_NUMBERS, "talk", ()),
    "general": (general.GENERAL, "talk", everyday("declined", "declined")),
}

QUESTIONS: Mapping[str, Wordings] = {
    kind: Wordings(
        listed,
        about,
        parts,
        written=of_writers(kind),
        blind={writer: templates(f"blind/{writer}", kind) for writer in ("tester", "stranger")},
        slots=_GENERAL_SLOTS if kind == "general" else {},
    )
    for kind, (listed, about, parts) in _KINDS.items()
}
"""Wordings by kind of question."""
