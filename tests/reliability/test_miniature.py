"""R10 on trained weights: the miniature writes the same tokens with a cache that it kept as with none.

Its images are of one size, so that a cache that goes by size, count or place would answer about the wrong
one; and what it says of them must be what was drawn.
"""

import random
from collections.abc import Callable, Iterator, Sequence

import pytest
from PIL import Image

import magistral_mlx as mm
from magistral_mlx.commands.demo_questions import cells_in
from magistral_mlx.miniature.images import Cell, Grid, draw
from support.warm_and_cold import GREEDY, Step, Twin, run_conversations, written

SUM, OTHER_SUM, DESCRIBE = "What is 47 + 38?", "What is 612 + 209?", "Describe the picture."
COUNT = "How many shapes are in the picture?"
ONE = (Cell("red", "circle"), Cell("blue", "square"), Cell("green", "star"))
TWO = (Cell("green", "star"), Cell("purple", "triangle"), Cell("red", "circle"))


def drawn(cells: Sequence[Cell]) -> Image.Image:
    return draw(Grid((tuple(cells),)), random.Random(3))


FIRST, SECOND = drawn(ONE), drawn(TWO)


@pytest.fixture(scope="module")
def warm() -> Iterator[mm.Magistral]:
    with mm.load("miniature") as model:
        yield model


@pytest.fixture(scope="module")
def cold() -> Iterator[mm.Magistral]:
    with mm.load("miniature") as model:
        yield model


def ask(text: str, *images: Image.Image, thinking: bool = True, max_tokens: int = 40) -> Step:
    return lambda chat: chat.stream(text, images=images, thinking=thinking, max_tokens=max_tokens, **GREEDY)


def edit(turn: int, text: str, *images: Image.Image) -> Step:
    return lambda chat: chat.edit_stream(turn, text, images=images, max_tokens=40, **GREEDY)


def again(chat: mm.Conversation) -> mm.AnswerStream:
    return chat.regenerate_stream(max_tokens=40, **GREEDY)


def go_on(chat: mm.Conversation) -> mm.AnswerStream:
    return chat.continue_stream()


SCRIPTS: dict[str, list[Step]] = {
    "turns of text": [ask(SUM), ask(OTHER_SUM), ask("Who are you?")],
    "turns about one picture": [ask(DESCRIBE, FIRST), ask(COUNT), ask(SUM)],
    "a picture added later": [ask(SUM), ask(DESCRIBE, FIRST), ask(COUNT)],
    "two pictures of one size": [ask(DESCRIBE, FIRST), ask(DESCRIBE, SECOND), ask(DESCRIBE, FIRST)],
    "two pictures in one question": [ask(DESCRIBE, FIRST, SECOND), ask(DESCRIBE, SECOND, FIRST), ask(SUM)],
    "thinking on and off": [
        ask(SUM),
        ask(SUM, thinking=False),
        ask(SUM),
        ask(DESCRIBE, FIRST, thinking=False),
    ],
    "a picture edited": [ask(DESCRIBE, FIRST), ask(COUNT), edit(0, DESCRIBE, SECOND), ask(COUNT)],
    "a question edited": [ask(SUM), ask(OTHER_SUM), edit(2, "What is 612 - 209?"), edit(0, OTHER_SUM)],
    "asked again": [ask(DESCRIBE, FIRST), again, ask(SUM), again],
    "cut and continued": [
        ask(SUM, max_tokens=9),
        go_on,
        ask(DESCRIBE, FIRST, max_tokens=20),
        go_on,
        ask(SUM),
    ],
}


IN_EVERY_RUN = {"turns of text", "two pictures of one size", "a picture edited", "cut and continued"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in IN_EVERY_RUN else pytest.mark.thorough) for name in SCRIPTS],
)
def test_scripted_conversations_are_the_same_to_the_token(
    warm: mm.Magistral, cold: mm.Magistral, name: str
) -> None:
    twin = Twin.begun(warm, cold, system="Be brief." if name == "turns of text" else None)
    before = 0
    for step in SCRIPTS[name]:
        reading = twin.compare(step)
        assert written(twin.warm)
        if step not in (again, go_on) and "edited" not in name and "thinking" not in name:
            assert reading.cached >= before  # nothing that was read or written is read again
        before = twin.warm.context_used


def test_stopped_at_every_twelfth_token(warm: mm.Magistral, cold: mm.Magistral) -> None:
    for after in range(1, 70, 12):
        twin = Twin.begun(warm, cold)
        twin.stop(ask(SUM), after=after)
        twin.compare(ask(DESCRIBE, FIRST, max_tokens=12))


def test_branches_and_what_was_saved(warm: mm.Magistral, cold: mm.Magistral) -> None:
    twin = Twin.begun(warm, cold)
    twin.compare(ask(DESCRIBE, FIRST))
    branch = twin.branch()
    for each, step in ((branch, ask(SUM)), (twin, ask(OTHER_SUM)), (branch, ask(COUNT)), (twin, ask(COUNT))):
        each.compare(step)
    with mm.load("miniature") as tomorrow:
        used = branch.warm.context_used
        branch.reopen(tomorrow)
        assert branch.compare(ask(DESCRIBE)).cached == used
        assert branch.compare(ask(DESCRIBE, SECOND)).cached > used


@pytest.mark.parametrize(
    "about",
    [
        lambda chat: chat.ask(DESCRIBE, images=[SECOND], **GREEDY),
        lambda chat: chat.edit(0, DESCRIBE, images=[SECOND], **GREEDY),
    ],
    ids=["asked", "edited"],
)
def test_it_speaks_of_the_image_that_it_was_shown(
    warm: mm.Magistral, about: Callable[[mm.Conversation], mm.Reply]
) -> None:
    chat = warm.conversation()
    assert cells_in(chat.ask(DESCRIBE, images=[FIRST], **GREEDY).answer) == names(ONE)
    assert cells_in(about(chat).answer) == names(TWO)


def names(cells: Sequence[Cell]) -> list[str]:
    return [f"{cell.colour} {cell.shape}" for cell in cells]


def test_whatever_is_done(warm: mm.Magistral, cold: mm.Magistral) -> None:
    run_conversations(
        warm, cold, questions=(SUM, DESCRIBE), images=(FIRST, SECOND), most_tokens=40, examples=3
    )
