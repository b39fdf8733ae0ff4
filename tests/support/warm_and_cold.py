"""The same conversation twice: one keeps its KV cache, the other reads everything anew each time.

Greedy replies must be the same to the token, whatever was done before. `compare` does one step of both;
`Conversations` is a state machine that does all that people do, in any order.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

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
from support.models import forget_caches

GREEDY: dict[str, Any] = {"temperature": 0}
Step = Callable[[mm.Conversation], mm.AnswerStream]


@dataclass
class Reading:
    """What a stream read, and its reply."""

    cached: int
    total: int
    reply: mm.Reply


def read(stream: mm.AnswerStream, *, stop_after: int | None = None) -> Reading:
    """Runs a stream to its end; `stop_after`: stops it after so many pieces of text."""
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


def written(chat: mm.Conversation) -> tuple[int, ...]:
    """The ids of the last reply."""
    last = chat.turns[-1] if chat.turns else None
    return last.token_ids if isinstance(last, mm.AssistantTurn) else ()


@dataclass
class Twin:
    """One conversation of two models of the same weights."""

    warm: mm.Conversation
    cold: mm.Conversation
    cold_model: mm.Magistral

    @classmethod
    def begun(cls, warm: mm.Magistral, cold: mm.Magistral, *, system: str | None = None) -> "Twin":
        """An empty one."""
        return cls(warm.conversation(system=system), cold.conversation(system=system), cold)

    def compare(self, step: Step) -> Reading:
        """Does the step in both; what the warm one read and said."""
        forget_caches(self.cold_model)
        warm = read(step(self.warm))
        cold = read(step(self.cold))
        assert cold.cached == 0
        assert cold.total == warm.total
        assert written(self.warm) == written(self.cold)
        assert warm.reply.ending is cold.reply.ending
        assert self.warm.turns == self.cold.turns
        return warm

    def stop(self, step: Step, *, after: int) -> None:
        """Stops the warm one in the middle of its reply; the cold one is told what came until then."""
        read(step(self.warm), stop_after=after)
        self._tell()

    def reopen(self, model: mm.Magistral) -> None:
        """Saves the warm one, and opens the file with `model`."""
        with tempfile.TemporaryDirectory() as folder:
            self.warm.save(Path(folder) / "chat")
            self.warm = model.load_conversation(Path(folder) / "chat")
        self._tell()

    def branch(self) -> "Twin":
        """Both branched."""
        return Twin(self.warm.branch(), self.cold.branch(), self.cold_model)

    def _tell(self) -> None:
        warm = self.warm
        self.cold = self.cold_model.conversation(system=warm.system, turns=warm.turns)
        cold, known = self.cold._history, warm._history
        cold.options, cold.ending = known.options, known.ending


class Conversations(RuleBasedStateMachine):
    """Ask, stop, edit, ask again, go on, branch, save and open, swap images, switch thinking."""

    warm_model: ClassVar[mm.Magistral]
    cold_model: ClassVar[mm.Magistral]
    questions: ClassVar[tuple[str, str]]
    images: ClassVar[tuple[Image.Image, Image.Image]]
    most_tokens: ClassVar[int]

    def _images(self, numbers: tuple[int, ...]) -> list[Image.Image]:
        return [self.images[number] for number in numbers]

    def _limit(self, data: st.DataObject) -> int:
        return data.draw(st.integers(1, self.most_tokens))

    @initialize(system=st.sampled_from([None, "You are terse."]))
    def begin(self, system: str | None) -> None:
        self.twins = [Twin.begun(self.warm_model, self.cold_model, system=system)]

    @rule(
        data=st.data(),
        question=st.integers(0, 1),
        images=st.sampled_from([(), (0,), (1,), (0, 1)]),
        thinking=st.booleans(),
    )
    def ask(self, data: st.DataObject, question: int, images: tuple[int, ...], thinking: bool) -> None:
        twin = data.draw(st.sampled_from(self.twins))
        options: dict[str, Any] = {"thinking": thinking, "max_tokens": self._limit(data), **GREEDY}
        images = self._images(images)
        twin.compare(lambda chat: chat.stream(self.questions[question], images=images, **options))

    @rule(data=st.data(), thinking=st.booleans())
    def again(self, data: st.DataObject, thinking: bool) -> None:
        twin = data.draw(st.sampled_from(self.twins))
        options: dict[str, Any] = {"thinking": thinking, "max_tokens": self._limit(data), **GREEDY}
        if twin.warm.turns:
            twin.compare(lambda chat: chat.regenerate_stream(**options))

    @rule(data=st.data(), images=st.sampled_from([(), (0,), (1,)]))
    def edit(self, data: st.DataObject, images: tuple[int, ...]) -> None:
        twin = data.draw(st.sampled_from(self.twins))
        places = [at for at, turn in enumerate(twin.warm.turns) if isinstance(turn, mm.UserTurn)]
        if places:
            place = data.draw(st.sampled_from(places))
            options: dict[str, Any] = {"max_tokens": self._limit(data), **GREEDY}
            images = self._images(images)
            twin.compare(lambda chat: chat.edit_stream(place, "Edited?", images=images, **options))

    @rule(data=st.data())
    def go_on(self, data: st.DataObject) -> None:
        twin = data.draw(st.sampled_from(self.twins))
        if twin.warm.turns and (ending := twin.warm._history.ending) is not None and not ending.is_whole:
            limit = self._limit(data)
            twin.compare(lambda chat: chat.continue_stream(limit))

    @rule(data=st.data(), pieces=st.integers(0, 3))
    def stop(self, data: st.DataObject, pieces: int) -> None:
        twin = data.draw(st.sampled_from(self.twins))
        limit = self.most_tokens
        twin.stop(
            lambda chat: chat.stream(self.questions[0], max_tokens=limit, **GREEDY),
            after=pieces,
        )

    @precondition(lambda self: len(self.twins) < 3)
    @rule(data=st.data())
    def branch(self, data: st.DataObject) -> None:
        self.twins.append(data.draw(st.sampled_from(self.twins)).branch())

    @rule(data=st.data())
    def save_and_open(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.twins)).reopen(self.warm_model)


def run_conversations(
    warm: mm.Magistral,
    cold: mm.Magistral,
    *,
    questions: tuple[str, str],
    images: tuple[Image.Image, Image.Image],
    most_tokens: int,
    examples: int,
) -> None:
    """Runs the state machine on two models of the same weights."""

    class Machine(Conversations):
        pass

    Machine.warm_model, Machine.cold_model = warm, cold
    Machine.questions, Machine.images, Machine.most_tokens = questions, images, most_tokens
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
