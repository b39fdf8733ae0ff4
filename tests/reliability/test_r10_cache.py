"""R10: the cache reads everything anew, or reuses what it must not.

A state machine asks, stops, edits, asks again, goes on, branches, swaps pictures and switches thinking, and
compares each reply with that of a model of the same weights that reads everything anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from PIL import Image

import magistral_mlx as mm
from magistral_mlx.prompt.chat import encode
from magistral_mlx.prompt.messages import conversation_messages, system_messages
from support.models import forget_caches, random_model, scripted
from support.scripted import END_THINK, EOS, THINK, Script

RED, BLUE = (Image.new("RGB", (84, 56), colour) for colour in ("red", "blue"))
GREEDY: dict[str, Any] = {"temperature": 0}


@dataclass
class Reading:
    """What a stream read, and its reply."""

    cached: int
    total: int
    reply: mm.Reply


def read(stream: mm.AnswerStream, *, stop_after: int | None = None) -> Reading:
    first: mm.PrefillProgress | None = None
    pieces = 0
    for event in stream:
        if first is None and isinstance(event, mm.PrefillProgress):
            first = event
        pieces += isinstance(event, mm.ReasoningText | mm.AnswerText)
        if stop_after is not None and pieces >= stop_after:
            stream.stop()
    assert first is not None
    return Reading(first.done, first.total, stream.reply())


@pytest.fixture(scope="module")
def spelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    """Spells its words as the tokenizer never would."""
    script: Script = [THINK, b"Fo", b"ur p", b"lus thr", b"ee", END_THINK, b"Sev", b"en", EOS]
    with scripted(tmp_path_factory.mktemp("spelled"), script) as model:
        yield model


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    """Answers in whole words, as the tokenizer spells them."""
    script: Script = [THINK, b"Four", b" plus", b" three", END_THINK, b"Seven", b" indeed", EOS]
    with scripted(tmp_path_factory.mktemp("words"), script) as model:
        yield model


@pytest.mark.parametrize("thinking", [True, False])
def test_second_turns_read_what_is_new_and_nothing_else(spelled: mm.Magistral, thinking: bool) -> None:
    chat = spelled.conversation(system="You are terse.")
    before = 0
    for text in ("What is 4 + 3?", "Sure?", "And then?", "Why?"):
        images = [RED] if text == "And then?" else []
        reading = read(chat.stream(text, images=images, thinking=thinking))
        assert reading.cached == before or (before == 0 and reading.cached < 20)
        before = chat.context_used


@pytest.mark.parametrize("thinking", [True, False])
def test_a_cut_reply_costs_only_its_closing(spelled: mm.Magistral, thinking: bool) -> None:
    for limit in range(2, 9):
        forget_caches(spelled)
        chat = spelled.conversation()
        chat.ask("One?", max_tokens=limit, thinking=thinking)
        used = chat.context_used
        assert read(chat.stream("Two?", thinking=thinking)).cached == used


def test_canonical_spelling_gives_the_ids_of_mistral_common(words: mm.Magistral) -> None:
    chat = words.conversation(system="You are terse.")
    chat.ask("One?", images=[RED])
    chat.ask("Two?", images=[BLUE])
    chat.ask("Three?")
    loaded = words._loaded
    assert loaded is not None
    cache = loaded.caches.held(chat._owner)
    assert cache is not None
    messages = system_messages("You are terse.", loaded.reasoning_prompt)
    messages += conversation_messages(chat.turns[:-1], keep_reasoning=True)
    expected = encode(loaded.tokenizer, messages).token_ids
    image = loaded.tokenizer.special.image
    held = [key if isinstance(key, int) else image for key in cache.keys]
    assert held[: len(expected)] == list(expected)
    assert all(turn.token_ids for turn in chat.turns if isinstance(turn, mm.AssistantTurn))


def test_a_later_picture_spoils_only_what_follows_it(words: mm.Magistral) -> None:
    forget_caches(words)
    chat = words.conversation()
    chat.ask("One?", images=[RED])
    chat.ask("Two?")
    used = chat.context_used
    assert read(chat.stream("Three?", images=[BLUE])).cached == used
    swapped = read(chat.edit_stream(4, "Three?", images=[RED]))
    assert used <= swapped.cached < used + 3


def test_a_branch_and_its_origin_both_go_on(words: mm.Magistral) -> None:
    chat = words.conversation()
    chat.ask("One?", images=[RED])
    used = chat.context_used
    branch = chat.branch()
    assert branch.context_used == used
    for each, text in ((branch, "This way?"), (chat, "That way?"), (branch, "On?"), (chat, "On?")):
        used = each.context_used
        assert read(each.stream(text)).cached >= used
    assert chat.turns[:2] == branch.turns[:2]


def test_asking_again_reads_one_token(words: mm.Magistral) -> None:
    chat = words.conversation()
    chat.ask("One?")
    again = read(chat.regenerate_stream())
    assert again.total - again.cached == 1
    assert len(chat.turns) == 2
    with pytest.raises(mm.UsageError, match="no question"):
        words.conversation().regenerate()
    with pytest.raises(mm.UsageError, match="is no question"):
        chat.edit(1, "Two?")


def test_an_edit_that_fails_leaves_the_conversation(words: mm.Magistral) -> None:
    chat = words.conversation()
    chat.ask("One?")
    chat.ask("Two?")
    turns = chat.turns
    with pytest.raises(mm.PromptError):
        chat.edit(0, "many words " * 4000)
    stream = chat.edit_stream(0, "Else?")
    stream.stop()
    stream.reply()
    assert chat.turns == turns


def test_stopping_while_reading_keeps_the_work(tmp_path_factory: pytest.TempPathFactory) -> None:
    with random_model(tmp_path_factory.mktemp("slow"), seed=3) as model:
        text = "A long question, in several chunks. " * 150
        stream = model.stream(text, **GREEDY, max_tokens=3)
        done = 0
        for event in stream:
            if isinstance(event, mm.PrefillProgress) and event.done:
                done = event.done
                stream.stop()
        assert stream.reply().ending is mm.Ending.STOPPED
        assert done > 0
        again = read(model.stream(text, **GREEDY, max_tokens=3))
        assert again.cached >= done < again.total


@dataclass
class Twin:
    """A conversation that keeps its cache, and one that reads everything anew each time."""

    warm: mm.Conversation
    cold: mm.Conversation


class Conversations(RuleBasedStateMachine):
    """Greedy replies are the same warm and cold, whatever was done before."""

    warm_model: mm.Magistral
    cold_model: mm.Magistral

    @initialize(system=st.sampled_from([None, "You are terse."]))
    def begin(self, system: str | None) -> None:
        self.twins = [
            Twin(self.warm_model.conversation(system=system), self.cold_model.conversation(system=system))
        ]

    def same(self, warm: mm.AnswerStream, cold: mm.AnswerStream, *, stop_after: int | None = None) -> None:
        forget_caches(self.cold_model)
        one = read(warm, stop_after=stop_after)
        two = read(cold)
        assert two.cached == 0
        if stop_after is None:
            assert (one.reply.reasoning, one.reply.answer) == (two.reply.reasoning, two.reply.answer)

    @rule(
        data=st.data(),
        text=st.sampled_from(["Hm?", "What is in it, exactly?"]),
        images=st.sampled_from([(), (RED,), (BLUE,), (RED, BLUE)]),
        thinking=st.booleans(),
        limit=st.integers(1, 7),
    )
    def ask(
        self, data: st.DataObject, text: str, images: tuple[Image.Image, ...], thinking: bool, limit: int
    ) -> None:
        twin = data.draw(st.sampled_from(self.twins))
        options: dict[str, Any] = {"images": images, "thinking": thinking, "max_tokens": limit, **GREEDY}
        self.same(twin.warm.stream(text, **options), twin.cold.stream(text, **options))
        assert twin.warm.turns == twin.cold.turns

    @rule(data=st.data(), limit=st.integers(1, 7))
    def again(self, data: st.DataObject, limit: int) -> None:
        twin = data.draw(st.sampled_from(self.twins))
        if twin.warm.turns:
            options: dict[str, Any] = {"max_tokens": limit, **GREEDY}
            self.same(twin.warm.regenerate_stream(**options), twin.cold.regenerate_stream(**options))

    @rule(data=st.data(), images=st.sampled_from([(), (RED,), (BLUE,)]))
    def edit(self, data: st.DataObject, images: tuple[Image.Image, ...]) -> None:
        twin = data.draw(st.sampled_from(self.twins))
        places = [at for at, turn in enumerate(twin.warm.turns) if isinstance(turn, mm.UserTurn)]
        if places:
            place = data.draw(st.sampled_from(places))
            options: dict[str, Any] = {"images": images, "max_tokens": 4, **GREEDY}
            self.same(
                twin.warm.edit_stream(place, "Edited?", **options),
                twin.cold.edit_stream(place, "Edited?", **options),
            )

    @rule(data=st.data(), limit=st.integers(1, 5))
    def go_on(self, data: st.DataObject, limit: int) -> None:
        twin = data.draw(st.sampled_from(self.twins))
        if twin.warm.turns and twin.warm._ending is not None and not twin.warm._ending.is_whole:
            self.same(twin.warm.continue_stream(limit), twin.cold.continue_stream(limit))

    @rule(data=st.data(), pieces=st.integers(0, 3))
    def stop(self, data: st.DataObject, pieces: int) -> None:
        """What was stopped is left behind by both: where it stopped is chance."""
        twin = data.draw(st.sampled_from(self.twins))
        branch = twin.warm.branch()
        read(branch.stream("Stopped?", max_tokens=9, **GREEDY), stop_after=pieces)

    @precondition(lambda self: len(self.twins) < 3)
    @rule(data=st.data())
    def branch(self, data: st.DataObject) -> None:
        twin = data.draw(st.sampled_from(self.twins))
        self.twins.append(Twin(twin.warm.branch(), twin.cold.branch()))


def test_warm_equals_cold_whatever_is_done(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("warm and cold")
    with random_model(folder / "warm", seed=4) as warm, random_model(folder / "cold", seed=4) as cold:
        Conversations.warm_model, Conversations.cold_model = warm, cold
        run_state_machine_as_test(
            Conversations,
            settings=settings(
                max_examples=25,
                stateful_step_count=12,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
