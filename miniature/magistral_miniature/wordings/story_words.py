"""Names and things for stories about numbers.

They fill the slots of a wording: {w} and {v} are people, {k} is what one is, {n} and {m} are things that are
counted, {s} and {u} things that are bought, {p} holds things.
"""

import random
from collections.abc import Mapping

from magistral_miniature.wordings.files import word_lists

__all__ = ["GOODS", "NAMES", "PLACES", "ROLES", "THINGS", "story_slots"]

_LISTS = word_lists("people_and_things")
NAMES, ROLES, THINGS, GOODS, PLACES = (
    _LISTS[name] for name in ("names", "roles", "things", "goods", "places")
)
"""Who counts, what people and groups are called, what is counted, what is bought, where things are kept."""


def story_slots(rng: random.Random) -> Mapping[str, object]:
    """Draw what fills the slots."""
    (who, other), (thing, another), (good, second) = (rng.sample(few, 2) for few in (NAMES, THINGS, GOODS))
    role, place = rng.choice(ROLES), rng.choice(PLACES)
    return {"w": who, "v": other, "k": role, "n": thing, "m": another, "s": good, "u": second, "p": place}
