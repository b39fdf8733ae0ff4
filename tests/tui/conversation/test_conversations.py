"""Conversations as the controller keeps, changes, steers and brings back."""

import errno
import os

import pytest

from magistral_mlx.engine.protocol import Answer, Failed, Reasoning
from magistral_mlx.errors import SessionError
from magistral_mlx.events import Ending
from magistral_mlx.sessions.library import Library
from magistral_mlx.storage.messages import Options, SavedTurn
from magistral_mlx.storage.paths import images_directory
from magistral_mlx_tui.attachments.images import AttachedImage
from magistral_mlx_tui.conversation.branching import (
    ask_again,
    edit_last,
    new_conversation,
    open_conversation,
    switch_branch,
)
from magistral_mlx_tui.conversation.controller import Controller, Phase
from magistral_mlx_tui.conversation.turns import Question
from support.controllers import ask, ready, settled, until
from support.fake_engine import Die, Pause, Stall, Step, done

_CUT: list[Step] = [Reasoning("Let me", 2), done("", reasoning="Let me", ending=Ending.CUT_IN_REASONING)]


def said(controller: Controller) -> list[tuple[str, str]]:
    return [(turn.question.text, "".join(turn.answer)) for turn in controller.turns]


async def test_everything_is_on_the_disk_when_it_ended() -> None:
    controller, _engine = await ready([Reasoning("7 + 5\x1b", 3), Answer("12", 1)])
    await ask(controller, "What is 7 + 5?")
    (turn,) = Library().read(controller.recorder.session.id).path
    assert (turn.question, turn.reasoning, turn.answer) == ("What is 7 + 5?", "7 + 5\x1b", "12")
    assert (turn.ending, turn.model, turn.reasoning_tokens) == (Ending.COMPLETE, "miniature", 3)
    await controller.close()


async def test_what_is_running_is_on_the_disk_soon_although_nothing_more_comes() -> None:
    controller, _engine = await ready([Reasoning("Let me", 2), Stall()])
    controller.submit(Question("q"))
    library = Library()
    await until(lambda: bool(library.summaries()))
    await until(lambda: library.read(controller.recorder.session.id).path[0].reasoning == "Let me")
    await controller.close()


async def test_closing_in_mid_answer_keeps_what_came() -> None:
    controller, _engine = await ready([Answer("half", 1), Stall()])
    controller.submit(Question("q"))
    await until(lambda: controller.phase is Phase.ANSWERING)
    await controller.close()
    assert Library().read(controller.recorder.session.id).path[0].answer == "half"


async def test_an_engine_that_dies_in_mid_thought_costs_nothing_and_is_told_all_again() -> None:
    controller, engine = await ready(
        [Answer("one", 1)], [Reasoning("Let me", 2), Die()], [Answer("three", 1)]
    )
    await ask(controller, "first")
    controller.submit(Question("second"))
    await until(lambda: controller.phase is Phase.FAILED)
    kept = Library().read(controller.recorder.session.id)
    assert [(turn.answer, turn.reasoning, turn.ending) for turn in kept.path] == [
        ("one", "", Ending.COMPLETE),
        ("", "Let me", None),
    ]
    controller.restart()
    await until(lambda: controller.phase is Phase.READY)
    assert engine.opened == [
        ((SavedTurn("first", answer="one"), SavedTurn("second", reasoning="Let me")), None)
    ]
    await ask(controller, "third")
    assert said(controller) == [("first", "one"), ("second", ""), ("third", "three")]
    await controller.close()


async def test_a_conversation_that_the_engine_refuses_is_offered_again_with_the_next_question() -> None:
    controller, engine = await ready([Answer("one", 1)], [Answer("two", 1)])
    await ask(controller, "first")
    engine.refusal = Failed("An image is gone", "Attach it again.")
    controller.restart()
    await until(lambda: controller.phase is Phase.FAILED)
    assert controller.failure is not None
    assert controller.failure.problem == "An image is gone"
    await ask(controller, "second")
    assert controller.phase is Phase.FAILED
    assert len(engine.requests) == 1
    engine.refusal = None
    await ask(controller, "third")
    assert said(controller)[-1] == ("third", "two")
    assert [turn.question for turn in engine.opened[-1][0]] == ["first"]  # nothing was said to the second
    await controller.close()


async def test_an_edited_question_is_a_sibling_and_one_can_switch() -> None:
    controller, engine = await ready(
        [Answer("one", 1)], [Answer("two", 1)], [Answer("TWO", 1)], [Answer("3", 1)]
    )
    await ask(controller, "first")
    await ask(controller, "second")
    before = controller.arrangement
    assert edit_last(controller, Question("Second"))
    await settled(controller, turns=2)
    assert said(controller) == [("first", "one"), ("Second", "TWO")]
    assert controller.arrangement > before
    assert engine.opened == [((SavedTurn("first", answer="one"),), None)]
    assert [turn.sibling for turn in controller.turns] == [(1, 1), (2, 2)]
    await ask(controller, "third")
    assert switch_branch(controller)
    await settled(controller, turns=2)
    assert said(controller) == [("first", "one"), ("second", "two")]
    assert controller.turns[1].sibling == (1, 2)
    assert switch_branch(controller)
    await settled(controller, turns=3)
    assert said(controller) == [("first", "one"), ("Second", "TWO"), ("third", "3")]
    assert [turn.answer for turn in engine.opened[-1][0]] == ["one", "TWO", "3"]
    await controller.close()


async def test_the_first_question_can_be_asked_again_also_while_it_is_answered() -> None:
    controller, engine = await ready([Reasoning("hm", 1), Stall()], [Answer("one", 1)])
    controller.submit(Question("first", options=Options(thinking=False)))
    await until(lambda: controller.phase is Phase.THINKING)
    assert ask_again(controller)
    await settled(controller, turns=1)
    assert said(controller) == [("first", "one")]
    assert controller.turns[0].sibling == (2, 2)
    assert engine.requests[1].options.thinking is False
    assert engine.calls == ["start", "ask", "stop", "new_conversation", "ask"]
    tree = Library().read(controller.recorder.session.id)
    assert [(turn.reasoning, turn.ending) for turn in tree.turns.values()] == [
        ("hm", Ending.STOPPED),
        ("", Ending.COMPLETE),
    ]
    await controller.close()


async def test_without_a_question_there_is_nothing_to_change() -> None:
    controller, _engine = await ready()
    assert not ask_again(controller)
    assert not edit_last(controller, Question("q"))
    assert not switch_branch(controller)
    assert not controller.go_on()
    assert not controller.answer_now()
    assert not controller.pause()
    assert not controller.resume()
    await controller.close()


async def test_branches_are_not_switched_under_a_running_answer() -> None:
    controller, _engine = await ready([Answer("one", 1)], [Stall()])
    await ask(controller, "q")
    ask_again(controller)
    await until(lambda: controller.phase is Phase.READING)
    with pytest.raises(SessionError, match="An answer is running"):
        switch_branch(controller)
    await controller.close()


async def test_a_kept_conversation_goes_on() -> None:
    first, _engine = await ready([Answer("one", 1)], _CUT)
    image = AttachedImage("a.png", images_directory() / ("a" * 64 + ".png"), "PNG", (4, 3), 9)
    first.submit(Question("first", (image,)))
    await settled(first, turns=1)
    await ask(first, "second")
    id_ = first.recorder.session.id
    other, engine = await ready([Answer("three", 1)])
    with pytest.raises(SessionError, match="open in another window"):
        open_conversation(other, id_)
    assert other.turns == []
    await first.close()
    open_conversation(other, id_)
    await until(lambda: len(engine.opened) == 1 and other.phase is Phase.READY)
    turns, _system = engine.opened[0]
    assert turns[0] == SavedTurn("first", (str(image.kept),), answer="one")
    assert turns[1] == SavedTurn("second", reasoning="Let me")
    assert other.turns[0].question.images == (image,)
    assert [turn.ending_note[:12] for turn in other.turns] == ["", "Hit the toke"]
    await ask(other, "third")
    await other.close()
    assert [turn.question for turn in Library().read(id_).path] == ["first", "second", "third"]


async def test_a_new_conversation_in_mid_answer_does_not_mix_the_two() -> None:
    controller, _engine = await ready([Answer("old", 1), Stall()], [Answer("fresh", 1)])
    controller.submit(Question("first"))
    await until(lambda: controller.phase is Phase.ANSWERING)
    old = controller.recorder.session.id
    new_conversation(controller)
    controller.submit(Question("second"))
    await settled(controller, turns=1)
    library = Library()
    assert [(turn.question, turn.answer) for turn in library.read(old).path] == [("first", "old")]
    assert library.read(old).path[0].ending is Ending.STOPPED
    new = controller.recorder.session.id
    assert [(turn.question, turn.answer) for turn in library.read(new).path] == [("second", "fresh")]
    await controller.close()


async def test_answer_now_ends_the_thought() -> None:
    controller, engine = await ready([Reasoning("hm", 1), Stall(), Reasoning("more", 1), Answer("12", 1)])
    controller.submit(Question("q"))
    await until(lambda: controller.phase is Phase.THINKING)
    assert controller.answer_now()
    await settled(controller, turns=1)
    assert ("".join(controller.turns[0].reasoning), said(controller)) == ("hm", [("q", "12")])
    assert "answer_now" in engine.calls
    await controller.close()


async def test_a_pause_holds_everything_and_a_hint_goes_into_the_thought() -> None:
    controller, engine = await ready([Reasoning("hm", 1), Pause(3600), Answer("12", 1)])
    controller.submit(Question("q"))
    await until(lambda: controller.phase is Phase.THINKING)
    assert controller.pause()
    await until(lambda: controller.phase is Phase.PAUSED)
    assert not controller.pause()
    assert controller.resume(" think of tens ")
    await settled(controller, turns=1)
    assert engine.hints == [" think of tens "]
    assert "think of tens" in "".join(controller.turns[0].reasoning)
    await controller.close()


async def test_a_paused_answer_can_be_stopped() -> None:
    controller, _engine = await ready([Reasoning("hm", 1), Stall()])
    controller.submit(Question("q"))
    await until(lambda: controller.phase is Phase.THINKING)
    controller.pause()
    await until(lambda: controller.phase is Phase.PAUSED)
    controller.stop()
    await until(lambda: controller.phase is Phase.STOPPED)
    await controller.close()


async def test_a_cut_off_reply_goes_on_in_the_same_turn() -> None:
    controller, engine = await ready(_CUT, [Reasoning(" see", 1), Answer("12", 1)])
    await ask(controller, "q")
    assert controller.turns[0].can_go_on
    assert controller.go_on()
    await settled(controller, turns=1)
    turn = controller.turns[0]
    assert ("".join(turn.reasoning), "".join(turn.answer)) == ("Let me see", "12")
    assert (turn.reasoning_tokens, turn.answer_tokens, turn.can_go_on) == (3, 1, False)
    assert engine.continued == [None]
    kept = Library().read(controller.recorder.session.id).path[0]
    assert (kept.reasoning, kept.answer, kept.ending) == ("Let me see", "12", Ending.COMPLETE)
    await controller.close()


async def test_a_thought_that_a_death_broke_off_goes_on() -> None:
    controller, engine = await ready([Reasoning("Let me", 2), Die()], [Reasoning(" see", 1), Answer("12", 1)])
    controller.submit(Question("q"))
    await until(lambda: controller.phase is Phase.FAILED)
    controller.restart()
    await until(lambda: controller.phase is Phase.READY)
    assert controller.turns[0].ending_note.endswith("F12 continues, /again retries.")
    assert controller.go_on()
    await settled(controller, turns=1)
    assert ("".join(controller.turns[0].reasoning), said(controller)) == ("Let me see", [("q", "12")])
    assert engine.opened[0][0] == (SavedTurn("q", reasoning="Let me"),)
    kept = Library().read(controller.recorder.session.id).path[0]
    assert (kept.answer, kept.ending) == ("12", Ending.COMPLETE)
    await controller.close()


async def test_after_a_failure_the_engine_is_told_what_was_said() -> None:
    controller, engine = await ready([Answer("half", 1), Failed("No memory", "Less.")], [Answer("two", 1)])
    await ask(controller, "first")
    await ask(controller, "second")
    assert engine.opened == [((SavedTurn("first", answer="half"),), None)]
    await controller.close()


async def test_options_travel_with_their_question() -> None:
    controller, engine = await ready([Answer("x", 1)])
    controller.submit(Question("q", options=Options(thinking=True, thinking_budget=50, max_tokens=99)))
    await settled(controller, turns=1)
    asked = engine.requests[0].options
    assert (asked.thinking_budget, asked.max_tokens) == (50, 99)
    assert Library().read(controller.recorder.session.id).path[0].options.thinking_budget == 50
    await controller.close()


async def test_a_full_disk_is_told_and_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    controller, _engine = await ready([Answer("one", 1)], [Answer("two", 1)])
    write = os.write

    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    await ask(controller, "first")
    assert "No space left on device" in controller.recorder.trouble
    monkeypatch.setattr(os, "write", write)
    await ask(controller, "second")
    assert controller.recorder.trouble == ""
    assert [turn.answer for turn in Library().read(controller.recorder.session.id).path] == ["one", "two"]
    await controller.close()


async def test_drafts_are_kept_with_their_conversation() -> None:
    controller, _engine = await ready([Answer("one", 1)])
    controller.recorder.keep_draft("never sent", ())
    await controller.close()
    other, _engine = await ready([Answer("one", 1)])
    assert other.recorder.orphaned_draft().text == "never sent"
    await ask(other, "q")
    other.recorder.keep_draft("half a", ())
    await other.close()
    third, _engine = await ready()
    assert third.recorder.orphaned_draft().text == ""
    open_conversation(third, other.recorder.session.id)
    await until(lambda: third.phase is Phase.READY and third.recorder.session.id == other.recorder.session.id)
    assert third.recorder.draft_of(other.recorder.session.id).text == "half a"
    await third.close()
