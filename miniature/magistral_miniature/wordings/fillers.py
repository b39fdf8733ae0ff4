"""Insert words that change nothing into training questions.

A small decoder finds a number by the words around it. Beside unknown words it copies "53" as "535". Therefore
some questions have other words beside their numbers, including made-up ones.
"""

import random
import re

from magistral_miniature.wordings.files import word_lists

__all__ = ["among_other_words"]

_LISTS = word_lists("words/fillers")
_BEFORE, _AFTER, _ANYWHERE, _ONSETS, _VOWELS, _ENDS = (
    _LISTS[name] for name in ("before", "after", "anywhere", "onsets", "vowels", "ends")
)


def among_other_words(rng: random.Random, template: str) -> str:
    """Insert words beside the numbers of a template, or one word between two others."""
    slots = list(re.finditer(r"(?<![^ ])\{[ab]\}(?![^ ?.,])", template))
    if not slots or rng.random() < 0.2:
        words = template.split(" ")
        words.insert(rng.randint(0, len(words) - 1), _any(rng, _ANYWHERE))
        return " ".join(words)
    for match in reversed(slots):
        chance = rng.random()
        before = _any(rng, _BEFORE, " ") if chance < 0.4 else ""
        after = _any(rng, _AFTER, before=" ") if 0.3 < chance < 0.8 else ""
        template = f"{template[: match.start()]}{before}{match.group()}{after}{template[match.end() :]}"
    return template


def _any(rng: random.Random, words: tuple[str, ...], after: str = "", before: str = "") -> str:
    return rng.choice(words) if rng.random() < 0.5 else f"{before}{_made_up(rng)}{after}"


def _made_up(rng: random.Random) -> str:
    count = rng.choice((1, 2, 2, 3))
    return "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_ENDS) for _ in range(count))
