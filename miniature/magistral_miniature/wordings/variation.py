"""Make many wordings of one: exchange words for others of the same meaning.

A group in `data/words/exchange.txt` holds words that are interchangeable in every template. `makes` tells
whether training can make a wording. The measured table leaves these out where it counts new wordings.
"""

import random
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal

from magistral_miniature.wordings.files import templates
from magistral_miniature.wordings.grammars import Grammars
from magistral_miniature.wordings.words import GOODS, NAMES, PLACES, ROLES, THINGS

__all__ = ["Slots", "Subject", "makes", "plain", "with_other_words"]

Subject = Literal["numbers", "chart", "grid", "talk"]
"""Subject of a question, which decides which words are interchangeable."""
Slots = tuple[tuple[str, tuple[str, ...]], ...]
"""Possible values of slots, by name."""


class _Groups:
    """Groups of phrases, with one expression that finds any of them."""

    def __init__(self, *groups: str) -> None:
        split = [group.split("|") for group in groups]
        self.others = {phrase: group for group in reversed(split) for phrase in group}
        longest = sorted(self.others, key=len, reverse=True)
        self.found = re.compile(
            rf"(?<![\w'{{])(?:{'|'.join(map(re.escape, longest))})(?![\w'}}])", re.IGNORECASE
        )

    def change(self, rng: random.Random, text: str, share: float) -> str:
        """Exchange this share of the known phrases in a text."""

        def other(match: re.Match[str]) -> str:
            said = match.group()
            if rng.random() >= share:
                return said
            new = rng.choice(self.others[said.lower()])
            return new[0].upper() + new[1:] if said[0].isupper() else new

        return self.found.sub(other, text)

    def expression(self, text: str) -> str:
        """Return an expression that matches every result of `change`, without spaces."""
        pieces, end = [], 0
        for match in self.found.finditer(text):
            others = {_joined(other) for other in self.others[match.group().lower()]}
            pieces += [
                re.escape(_joined(text[end : match.start()])),
                f"(?:{'|'.join(map(re.escape, others))})",
            ]
            end = match.end()
        return "".join([*pieces, re.escape(_joined(text[end:]))])


def _groups(*sections: str) -> _Groups:
    return _Groups(*(group for section in sections for group in templates("words/exchange", section)))


_FOR: Mapping[Subject, _Groups] = {
    "numbers": _groups("numbers", "talk", "tasks"),
    "chart": _groups("chart", "image", "talk", "tasks"),
    "grid": _groups("grid", "image", "talk", "tasks"),
    "talk": _groups("talk"),
}
_PEOPLE, _THINGS, _OTHERS = {name.lower() for name in NAMES}, set(THINGS), {*ROLES, *PLACES, *GOODS}
_MARKS = re.compile(r"[,.;:!?\"]+(?= |$)")
_COURTESY = re.compile(r"\b(?:please|kindly|pls|thanks|thank you)\b")
_WORD = re.compile(r"[\w{}']+")
_SLOTS = {"{v}": "{w}", "{m}": "{n}", "{k}": "{p}", "{s}": "{p}", "{u}": "{p}"}


def with_other_words(rng: random.Random, parts: Sequence[str], subject: Subject) -> list[str]:
    """Exchange half of the interchangeable words in the parts of a template."""
    changed = [_FOR[subject].change(rng, part, 0.5) for part in parts]
    return [_renamed(rng, "".join(changed))] if subject == "numbers" else changed


def _renamed(rng: random.Random, text: str) -> str:
    """Rename the people and things of a story, each consistently."""
    for few in (NAMES, THINGS):
        known = [word for word in dict.fromkeys(_WORD.findall(text)) if word in few]
        if known:
            new = dict(zip(known, rng.sample(few, len(known)), strict=True))
            text = _WORD.sub(lambda match, new=new: new.get(match.group(), match.group()), text)  # type: ignore[misc]
    return text


def plain(text: str, subject: Subject) -> str:
    """Return a wording without capitals, punctuation, courtesy, names and things."""
    text = text.lower().replace("’", "'")
    if subject == "numbers":
        text = _WORD.sub(lambda match: _kind(match.group()), text)
    return _COURTESY.sub("", _MARKS.sub("", text))


def _kind(word: str) -> str:
    """Return the slot for a name or a thing, and any other word as it is."""
    if word in _THINGS:
        return "{n}"
    if word in _PEOPLE:
        return "{w}"
    return "{p}" if word in _OTHERS else _SLOTS.get(word, word)


def _joined(text: str) -> str:
    return re.sub(r"\s+", "", text)


@cache
def _expression(grammar: tuple[tuple[str, ...], ...], subject: Subject, slots: Slots) -> re.Pattern[str]:
    """Return an expression that matches every wording of a grammar, without spaces."""
    values = dict(slots)

    def part(text: str) -> str:
        return re.sub(r"\\\{(\w+)\\\}", slot, _FOR[subject].expression(plain(text, subject)))

    def slot(match: re.Match[str]) -> str:
        known = values.get(match.group(1))
        return match.group() if known is None else f"(?:{'|'.join({part(value) for value in known})})"

    parts = ("|".join(sorted({part(one) for one in alternatives})) for alternatives in grammar)
    return re.compile("".join(f"(?:{one})" for one in parts))


def makes(grammars: Grammars, wording: str, subject: Subject, slots: Slots = ()) -> bool:
    """Tell whether grammars and the exchange of words make `wording`, ignoring punctuation and courtesy.

    Args:
        grammars: the grammars that training draws from.
        wording: a template.
        subject: subject of the question, which decides which words are interchangeable.
        slots: values of the slots that training fills and `wording` does not have.
    """
    wanted = _joined(plain(wording, subject))
    return any(_expression(grammar, subject, slots).fullmatch(wanted) for grammar in grammars)
