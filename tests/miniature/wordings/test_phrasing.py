"""Templates become questions, and held-out wordings stay out of training."""

import random
import re

import pytest

from magistral_miniature.wordings.fillers import among_other_words
from magistral_miniature.wordings.grammars import parts_of
from magistral_miniature.wordings.phrasing import (
    HELD_OUT_STEP,
    Split,
    drawn,
    evaluated,
    filled,
    known,
    template_of_training,
    templates_of,
)
from magistral_miniature.wordings.questions import QUESTIONS
from magistral_miniature.wordings.variation import plain, with_other_words
from magistral_miniature.wordings.words import story_slots


@pytest.mark.parametrize(
    "kind", ["add", "subtract", "count", "cell", "describe", "tallest", "shortest", "value"]
)
def test_there_are_many_wordings_and_some_are_held_out(kind: str) -> None:
    templates = QUESTIONS[kind].listed
    train, held = templates_of(templates, "train"), templates_of(templates, "held-out")
    assert len(set(templates)) == len(templates) >= 55
    assert set(train).isdisjoint(held)
    assert len(train) + len(held) == len(templates)
    assert len(held) >= len(templates) // HELD_OUT_STEP


def test_small_wording_lists_have_held_out_wordings_too() -> None:
    for kind in ("difference", "more than"):
        assert templates_of(QUESTIONS[kind].listed, "held-out")


@pytest.mark.parametrize("split", ["tester-new", "stranger-new"])
@pytest.mark.parametrize("kind", [kind for kind, wordings in QUESTIONS.items() if wordings.blind["tester"]])
def test_training_never_makes_a_new_wording_of_the_table(kind: str, split: Split) -> None:
    wordings = QUESTIONS[kind]
    asked = {plain(one, wordings.about) for one in evaluated(wordings, split)}
    assert len(asked) >= 5
    rng = random.Random(8)
    for _ in range(1_000):
        template = template_of_training(rng, wordings)
        assert plain(filled(rng, template, wordings.slots), wordings.about) not in asked


@pytest.mark.parametrize("kind", [kind for kind, wordings in QUESTIONS.items() if wordings.parts])
def test_every_wording_of_training_is_known(kind: str) -> None:
    wordings, rng = QUESTIONS[kind], random.Random(8)
    for _ in range(150):
        parts = parts_of(rng, wordings.parts) if rng.random() < 0.7 else [rng.choice(drawn(wordings))]
        changed = "".join(with_other_words(rng, parts, wordings.about))
        told = filled(rng, changed, wordings.slots)
        assert known(told, wordings), told
        assert known(f"Quick question: {told}", wordings)
    assert not known("What is the meaning of the word life in a poem by my aunt?", wordings)


def test_other_people_and_things_leave_a_wording_known() -> None:
    wordings = QUESTIONS["add"]
    assert known("A nurse has {a} drums and buys {b} more. How many drums does she have now?", wordings)
    assert not known("Zoe heard {a} drums and then {b} louder ones. Overall noises?", wordings)


def test_a_slot_takes_another_value_at_every_place() -> None:
    values = {"a": ("{b}x", "{b}y"), "b": 7}
    assert {filled(random.Random(seed), "{a} {a}", values) for seed in range(40)} == {
        "7x 7x",
        "7x 7y",
        "7y 7x",
        "7y 7y",
    }


def test_a_story_keeps_its_person_and_its_thing() -> None:
    rng = random.Random(10)
    for _ in range(50):
        story = filled(rng, "{w} has {n}, {v} has {m}: {w}, {n}", story_slots(rng))
        who, thing, other, another, again, same = re.findall(r"\w+", story.replace(" has ", " "))
        assert (who, thing) == (again, same)
        assert who != other
        assert thing != another


def test_other_words_leave_the_numbers_and_their_order_alone() -> None:
    rng = random.Random(9)
    kinds = ("add", "subtract", "more than", "cell")
    templates = [template for kind in kinds for template in QUESTIONS[kind].listed]
    others = 0
    for template in templates:
        changed = among_other_words(rng, template)
        others += changed != template
        assert re.findall(r"\{\w+\}", changed) == re.findall(r"\{\w+\}", template)
        assert not re.search(r"\d", changed) or re.search(r"\d", template)
    assert others > len(templates) / 2
