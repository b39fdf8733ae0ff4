"""Words of questions and answers: numbers, ordinals, articles, plurals, people and things.

People and things fill the slots of small stories: {w} and {v} are people, {k} is a role, {n} and {m} are
things that people count, {s} and {u} are goods that people buy, {p} is a place that holds things.
"""

import random
from collections.abc import Mapping, Sequence

from magistral_miniature.wordings.files import word_lists

__all__ = [
    "GOODS",
    "NAMES",
    "NUMBERS",
    "ORDINALS",
    "PLACES",
    "ROLES",
    "THINGS",
    "article",
    "count_of",
    "listed",
    "plural",
    "story_slots",
]

NUMBERS, ORDINALS = (word_lists("words/numbers")[name] for name in ("numbers", "ordinals"))
"""Whole numbers from 0 to 10 as words, and ordinals from 1st (index 0) to 9th."""

NAMES, ROLES, THINGS, GOODS, PLACES = (
    word_lists("words/people_and_things")[name] for name in ("names", "roles", "things", "goods", "places")
)
"""Names of people, their roles, things to count, things to buy, places that hold things."""


def story_slots(rng: random.Random) -> Mapping[str, object]:
    """Draw the people and things of a story."""
    (who, other), (thing, another), (good, second) = (rng.sample(few, 2) for few in (NAMES, THINGS, GOODS))
    role, place = rng.choice(ROLES), rng.choice(PLACES)
    return {"w": who, "v": other, "k": role, "n": thing, "m": another, "s": good, "u": second, "p": place}


def article(name: str) -> str:
    """Return "a" or "an" for the name that follows."""
    return "an" if name[0] in "aeiou" else "a"


def plural(name: str) -> str:
    """Return the plural of a name whose last word is a shape, "shape", "row", "column" or "bar"."""
    return name + ("es" if name.endswith("s") else "s")


def count_of(count: int, name: str) -> str:
    """Return "1 row" or "3 rows"."""
    return f"{count} {name if count == 1 else plural(name)}"


def listed(parts: Sequence[str]) -> str:
    """Join parts as "a", "a and b" or "a, b and c"."""
    if len(parts) == 1:
        return parts[0]
    return ", ".join(parts[:-1]) + " and " + parts[-1]
