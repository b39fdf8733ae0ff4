"""The wordings of every kind of question, collected from the files in `data/`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from magistral_miniature.wordings.files import grammars, of_writers, templates, word_lists
from magistral_miniature.wordings.grammars import Grammars
from magistral_miniature.wordings.variation import Subject

__all__ = ["QUESTIONS", "Wordings"]


@dataclass(frozen=True, eq=False, repr=False)
class Wordings:
    """The ways to ask one kind of question.

    Attributes:
        listed: templates; training leaves out every seventh.
        about: subject of the question, which decides which words are interchangeable.
        parts: grammars that training draws from besides.
        written: templates by writers who had not seen the list; training leaves out every seventh.
        blind: templates for the measured table alone, by writer.
        slots: values for slots that only these wordings have.
    """

    listed: tuple[str, ...]
    about: Subject = "talk"
    parts: Grammars = ()
    written: tuple[str, ...] = field(default=(), repr=False)
    blind: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    slots: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_IDENTITY = ("parts/identity", "identity"), *2 * (("everyday/identity", "identity"),)
_KINDS: Mapping[str, tuple[Subject, tuple[tuple[str, str], ...]]] = {
    "add": (
        "numbers",
        (
            ("parts/sums", "add"),
            ("parts/stories", "come_together"),
            *2 * (("parts/stories", "then_more"),),
            ("parts/change", "grow"),
            ("parts/change", "grow_stories"),
            ("everyday/sums", "added"),
            ("everyday/stories", "gained"),
        ),
    ),
    "subtract": (
        "numbers",
        (("parts/sums", "subtract"), ("parts/change", "shrink"), ("everyday/sums", "taken")),
    ),
    "more than": (
        "numbers",
        (
            ("parts/sums", "left_over"),
            ("parts/stories", "left_over"),
            ("parts/more_than", "more_than"),
            ("parts/change", "shrink_stories"),
            ("everyday/stories", "lost"),
        ),
    ),
    "difference": (
        "numbers",
        (("parts/sums", "difference"), ("parts/change", "distance"), ("everyday/sums", "apart")),
    ),
    "describe": ("grid", (("parts/grids", "describe"), *2 * (("everyday/grids", "describe"),))),
    "describe grid": ("grid", (("everyday/grids", "all_shapes"),)),
    "describe chart": ("chart", (("everyday/charts", "all_bars"),)),
    "count": ("grid", (("parts/grids", "count"), ("everyday/grids", "count"))),
    "cell": ("grid", (("parts/places", "cell"), ("everyday/grids", "cell"))),
    "size": ("grid", ()),
    "bars": ("chart", ()),
    "tallest": ("chart", (("parts/charts", "tallest"), *2 * (("everyday/charts", "tallest"),))),
    "shortest": ("chart", (("parts/charts", "shortest"), *2 * (("everyday/charts", "shortest"),))),
    "value": ("chart", (("parts/charts", "value"), ("everyday/charts", "value"))),
    "other": ("grid", (("everyday/talk", "other"),)),
    "identity": ("talk", _IDENTITY),
    "abilities": ("talk", _IDENTITY),
    "greetings": ("talk", (("everyday/talk", "greetings"),)),
    "thanks": ("talk", (("everyday/talk", "thanks"),)),
    "byes": ("talk", (("everyday/talk", "byes"),)),
    "other numbers": ("talk", ()),
    "general": ("talk", (("everyday/declined", "declined"),)),
}
"""Subject and grammars of each kind, as file and section. A grammar named twice is drawn twice as often."""


def _general_slots() -> Mapping[str, tuple[str, ...]]:
    """Join the lists of both files for questions that the miniature declines."""
    topics, declined = word_lists("words/topics"), word_lists("everyday/declined")
    return {name: topics.get(name, ()) + declined.get(name, ()) for name in {**topics, **declined}}


QUESTIONS: Mapping[str, Wordings] = {
    kind: Wordings(
        templates(f"listed/{about}", kind),
        about,
        sum((grammars(*place) for place in parts), ()),
        written=of_writers(kind),
        blind={writer: templates(f"blind/{writer}", kind) for writer in ("tester", "stranger")},
        slots=_general_slots() if kind == "general" else {},
    )
    for kind, (about, parts) in _KINDS.items()
}
"""Wordings by kind of question."""
