"""Turn templates into questions as people type them, and hold out a share of the wordings.

Training leaves out every seventh template of a list, and some openings. They serve to choose between
training runs, although grammars can make many of them too. The measured table uses the wordings in
`data/blind/`, whose writers had seen nothing of the training. It scores all of them, and separately those
that training cannot make.
"""

import random
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal

from magistral_miniature.wordings.files import grammars, templates, word_lists
from magistral_miniature.wordings.fillers import among_other_words
from magistral_miniature.wordings.grammars import composed, parts_of
from magistral_miniature.wordings.questions import Wordings
from magistral_miniature.wordings.variation import makes, with_other_words
from magistral_miniature.wordings.words import story_slots

__all__ = [
    "BLIND",
    "HELD_OUT_STEP",
    "Split",
    "asks",
    "drawn",
    "evaluated",
    "filled",
    "known",
    "phrase",
    "plainest",
    "template_of_training",
    "templates_of",
]

Split = Literal["train", "held-out", "familiar", "plain", "tester", "tester-new", "stranger", "stranger-new"]
"""Source of wordings.

"train" is for training. "held-out" has wordings that training leaves out, to choose between runs. "familiar"
has wordings of training with other numbers and images. "plain" has the plainest wordings. "tester" and
"stranger" are the blind lists; "-new" takes only their wordings that training cannot make.
"""
BLIND: tuple[Split, ...] = ("tester", "tester-new", "stranger", "stranger-new")
"""The splits with wordings from `data/blind/`."""
_MADE: tuple[Split, ...] = ("train", "familiar")
HELD_OUT_STEP = 7
_PLAINEST, _PLAIN_SHARE = 8, 0.16

_OPENINGS, _IMAGE_OPENINGS, _CLOSINGS = (
    templates("words/frames", name) for name in ("openings", "image_openings", "closings")
)
_BEFOREHAND, _AFTERWARDS = grammars("words/frames", "beforehand"), grammars("words/frames", "afterwards")
_BEFOREHAND_OF_IMAGES = _BEFOREHAND + grammars("words/frames", "beforehand_of_images")
_SMALL_WORDS = word_lists("words/small")["small"]


def templates_of(listed: Sequence[str], split: Split) -> list[str]:
    """Return the templates of one split."""
    held = [t for i, t in enumerate(listed) if i % HELD_OUT_STEP == HELD_OUT_STEP - 2]
    return held if split == "held-out" else [t for t in listed if t not in held]


@lru_cache
def drawn(wordings: Wordings) -> tuple[str, ...]:
    """Return the templates that training draws, from the list and from writers."""
    return (*templates_of(wordings.listed, "train"), *templates_of(wordings.written, "train"))


@lru_cache
def evaluated(wordings: Wordings, split: Split) -> tuple[str, ...]:
    """Return the templates of an evaluation split."""
    if split == "held-out":
        return (*templates_of(wordings.listed, "held-out"), *templates_of(wordings.written, "held-out"))
    if split == "plain":
        return plainest(wordings)
    writer, _, new = split.partition("-")
    return tuple(one for one in wordings.blind[writer] if not new or not known(one, wordings))


def plainest(wordings: Wordings) -> tuple[str, ...]:
    """Return the most usual templates, the first of the list."""
    return drawn(wordings)[:_PLAINEST]


def asks(wordings: Wordings, split: Split) -> bool:
    """Tell whether the split has wordings of this kind; a blind writer may have left it out."""
    return split in _MADE or bool(evaluated(wordings, split))


def known(template: str, wordings: Wordings) -> bool:
    """Tell whether training can make `template`, with or without an opening of the lists."""
    subject, slots = wordings.about, tuple(wordings.slots.items())
    openings = [one for one in _OPENINGS + _IMAGE_OPENINGS if template.lower().startswith(one.lower())]
    forms = filter(None, (template, *(template[len(one) :] for one in openings)))
    made = (*(((template,),) for template in drawn(wordings)), *wordings.parts)
    return any(makes(made, form, subject, slots) for form in forms)


def phrase(
    rng: random.Random, wordings: Wordings, split: Split, slots: Mapping[str, object] | None = None
) -> str:
    """Fill a random template of the split and vary how it is typed.

    In training, a sixth of the questions use the plainest templates, a third use grammars if there are any,
    and the others use whole templates. Half of the last two get other words. Questions of the blind and plain
    splits stay as their writers wrote them.

    Args:
        rng: random number generator.
        wordings: the ways to ask.
        split: source of the wordings.
        slots: values for the slots in braces.
    """
    values = {**story_slots(rng), **wordings.slots, **(slots or {})}
    image = wordings.about in ("grid", "chart")
    made = split in _MADE
    template = template_of_training(rng, wordings) if made else rng.choice(evaluated(wordings, split))
    text = filled(rng, template, values)
    if not made and split != "held-out":
        return text
    if split == "held-out" or rng.random() < 0.8:
        text = text[0].upper() + text[1:]
    return _typed(rng, _framed(rng, text, split, values, image=image), split)


def template_of_training(rng: random.Random, wordings: Wordings) -> str:
    """Draw a template or compose one, and exchange words in it."""
    chance = rng.random()
    if chance < _PLAIN_SHARE:
        return rng.choice(plainest(wordings))
    if wordings.parts and chance < 0.5:
        parts = parts_of(rng, wordings.parts)
    else:
        parts = [rng.choice(drawn(wordings))]
    if rng.random() < 0.5:
        parts = with_other_words(rng, parts, wordings.about)
    template = "".join(parts)
    if rng.random() < (0.2 if "{a}" in template else 0.08):
        template = among_other_words(rng, template)
    return template


def filled(rng: random.Random, template: str, values: Mapping[str, object]) -> str:
    """Fill the slots of a template, and the slots inside values."""

    def value(match: re.Match[str]) -> str:
        put = values.get(match.group(1), match.group())
        return str(rng.choice(put) if isinstance(put, tuple) else put)

    before = ""
    while template != before:
        before, template = template, re.sub(r"\{(\w+)\}", value, template)
    return re.sub(r"\b([Aa]) (?=orange)", r"\1n ", template)


def _framed(rng: random.Random, text: str, split: Split, values: Mapping[str, object], *, image: bool) -> str:
    """Add an opening or a closing to some questions."""
    training = split != "held-out"
    if rng.random() < 0.3:
        if training and rng.random() < 0.5:
            opening = filled(rng, composed(rng, _BEFOREHAND_OF_IMAGES if image else _BEFOREHAND), values)
        else:
            openings = _OPENINGS + _IMAGE_OPENINGS * 2 if image else _OPENINGS
            opening = rng.choice(templates_of(openings, split))
        if opening[-2] in ":," and rng.random() < 0.7:
            text = text[0].lower() + text[1:]
        text = opening + text
    if rng.random() < 0.15:
        if text[-1] not in ".?!=":
            text += "."
        if training and rng.random() < 0.5:
            text += filled(rng, composed(rng, _AFTERWARDS), values)
        else:
            text += rng.choice(templates_of(_CLOSINGS, split))
    return text


def _typed(rng: random.Random, text: str, split: Split) -> str:
    """Drop marks and capitals as hasty people do."""
    if split != "held-out" and rng.random() < 0.1:
        text = _without_a_word(rng, text)
    chance = rng.random()
    if chance < 0.12:
        text = text.rstrip("?.")
    elif chance < 0.2:
        text = text.lower()
    elif chance < 0.28:
        text = text.lower().rstrip("?.")
    elif split != "held-out" and chance < 0.31:
        text = text.upper()
    return text or "?"


def _without_a_word(rng: random.Random, text: str) -> str:
    """Leave out one small word."""
    words = text.split(" ")
    small = [i for i, word in enumerate(words) if word.lower() in _SMALL_WORDS]
    if small:
        del words[rng.choice(small)]
    return " ".join(words)
