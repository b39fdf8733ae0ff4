"""The turn state machine without a screen."""

import asyncio

from magistral_mlx.engine.protocol import (
    Answer,
    Failed,
    Loading,
    Prefill,
    Progress,
    Ready,
    Reasoning,
)
from magistral_mlx.events import Ending
from magistral_mlx.storage.messages import SavedTurn
from magistral_mlx_tui.conversation.branching import new_conversation
from magistral_mlx_tui.conversation.controller import Phase
from magistral_mlx_tui.conversation.turns import Question, Turn
from support.controllers import ready, started, until
from support.fake_engine import LOADING, MODEL, Die, Pause, Stall, done


async def test_an_answer_passes_through_all_phases() -> None:
    controller, engine = await ready(
        [Prefill(0, 9), Prefill(9, 9), Reasoning("7 + 5", 3), Answer("12", 1), done("12", reasoning="7 + 5")]
    )
    phases: list[Phase] = []
    controller.on_change = lambda: phases.append(controller.phase)
    assert controller.submit(Question("What is 7 + 5?")) is False
    await until(lambda: controller.phase is Phase.READY)
    assert list(dict.fromkeys(phases)) == [Phase.READING, Phase.THINKING, Phase.ANSWERING, Phase.READY]
    turn = controller.turn
    assert turn is not None
    assert ("".join(turn.reasoning), "".join(turn.answer)) == ("7 + 5", "12")
    assert (turn.reasoning_tokens, turn.answer_tokens, turn.running) == (3, 1, False)
    assert engine.started == ["m"]
    await controller.close()


async def test_a_question_typed_while_loading_waits() -> None:
    controller, engine = await started([done("a")], loading=(Loading("x"), Pause(0.05), Ready(MODEL)))
    await until(lambda: controller.loading.stage == "x")
    assert controller.submit(Question("early")) is True
    assert engine.requests == []
    await until(
        lambda: controller.phase is Phase.READY and bool(controller.turns) and not controller.turns[0].running
    )
    assert [request.text for request in engine.requests] == ["early"]
    await controller.close()


async def test_questions_wait_for_the_running_answer() -> None:
    controller, engine = await ready([Answer("one", 1), Pause(0.02)], [Answer("two", 1)])
    controller.submit(Question("first"))
    assert controller.submit(Question("second")) is True
    await until(lambda: len(controller.turns) == 2 and not controller.turns[1].running)
    assert [request.text for request in engine.requests] == ["first", "second"]
    await controller.close()


async def test_stopping_keeps_what_came_and_gives_waiting_questions_back() -> None:
    controller, _engine = await ready([Reasoning("Let me", 2), Stall()])
    controller.submit(Question("first"))
    controller.submit(Question("second"))
    await until(lambda: controller.phase is Phase.THINKING)
    assert [question.text for question in controller.stop()] == ["second"]
    assert controller.stopping
    await until(lambda: controller.phase is Phase.STOPPED)
    turn = controller.turns[0]
    assert "".join(turn.reasoning) == "Let me"
    assert turn.reply is not None
    assert turn.reply.ending is Ending.STOPPED
    assert turn.ending_note.startswith("Stopped.")
    assert not controller.stopping
    await controller.close()


async def test_a_refused_question_fails_and_the_next_one_is_answered() -> None:
    controller, _engine = await ready([Failed("Too long", "Shorten it.")], [Answer("ok", 1)])
    controller.submit(Question("long"))
    await until(lambda: controller.phase is Phase.FAILED)
    assert controller.failure is not None
    assert (controller.failure.problem, controller.failure.engine_lost) == ("Too long", False)
    controller.submit(Question("short"))
    await until(lambda: controller.phase is Phase.READY)
    assert controller.failure is None
    await controller.close()


async def test_a_death_in_mid_thought_keeps_the_thought_and_a_restart_goes_on() -> None:
    controller, engine = await ready([Reasoning("Let me", 2), Die(log="/logs/engine.log")], [Answer("ok", 1)])
    controller.submit(Question("first"))
    await until(lambda: controller.phase is Phase.FAILED)
    assert controller.failure is not None
    assert controller.failure.engine_lost
    assert controller.failure.log == "/logs/engine.log"
    assert "".join(controller.turns[0].reasoning) == "Let me"
    assert "Interrupted" in controller.turns[0].ending_note
    assert controller.submit(Question("second")) is True
    controller.restart()
    await until(lambda: len(controller.turns) == 2 and not controller.turns[1].running)
    assert "".join(controller.turns[1].answer) == "ok"
    assert engine.opened == [((SavedTurn("first", reasoning="Let me"),), None)]
    assert engine.started == ["m", "m"]
    await controller.close()


async def test_a_death_between_questions_is_noticed() -> None:
    controller, engine = await ready()
    engine.die()
    await until(lambda: controller.phase is Phase.FAILED)
    assert controller.failure is not None
    assert controller.failure.engine_lost
    await controller.close()


async def test_a_model_that_cannot_be_loaded_fails_and_restart_tries_again() -> None:
    controller, engine = await started(loading=(Failed("No such model", "Install it.", engine_lost=True),))
    await until(lambda: controller.phase is Phase.FAILED)
    engine.loading = LOADING
    controller.restart()
    assert controller.phase is Phase.LOADING
    await until(lambda: controller.phase is Phase.READY)
    await controller.close()


async def test_a_new_conversation_forgets_also_in_the_middle_of_an_answer() -> None:
    controller, engine = await ready([Reasoning("Let", 1), Stall()], [Answer("fresh", 1)])
    controller.submit(Question("old"))
    await until(lambda: controller.phase is Phase.THINKING)
    new_conversation(controller)
    assert controller.turns == []
    controller.submit(Question("new"))
    await until(lambda: bool(controller.turns) and not controller.turns[0].running)
    assert [turn.question.text for turn in controller.turns] == ["new"]
    assert "".join(controller.turns[0].answer) == "fresh"
    assert engine.calls == ["start", "ask", "stop", "new_conversation", "ask"]
    await controller.close()


async def test_measurements_reach_the_gauges() -> None:
    controller, engine = await ready([Progress(tokens_per_second=30.0), Answer("x", 1)])
    engine.idle(Progress(context_used=7))
    await until(lambda: controller.progress.context_used == 7)
    controller.submit(Question("q"))
    await until(lambda: controller.phase is Phase.READY)
    assert list(controller.speeds) == [30.0]
    await controller.close()


async def test_what_the_engine_says_is_made_harmless() -> None:
    controller, _engine = await ready(
        [Reasoning("\x1b[2J", 1), Answer("\x9b", 1), Failed("\x1b]0;x\x07", "\x1b", log="a\nb")]
    )
    controller.submit(Question("q"))
    await until(lambda: controller.phase is Phase.FAILED)
    turn, failure = controller.turns[0], controller.failure
    assert failure is not None
    shown = "".join([*turn.reasoning, *turn.answer, failure.problem, failure.remedy, failure.log or ""])
    assert not any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in shown)
    await controller.close()


async def test_a_mistake_of_an_engine_is_shown_and_survived() -> None:
    controller, _engine = await ready()
    controller.submit(Question("has no script"))
    await until(lambda: controller.phase is Phase.FAILED)
    assert controller.failure is not None
    assert "AssertionError" in controller.failure.problem
    assert not controller.turns[0].running
    await controller.close()


async def test_closing_in_mid_answer_leaves_no_task() -> None:
    controller, engine = await ready([Stall()])
    controller.submit(Question("q"))
    await until(lambda: controller.phase is Phase.READING)
    await controller.close()
    assert engine.calls[-1] == "close"
    assert len(asyncio.all_tasks()) == 1


def test_thinking_time_runs_from_the_first_to_the_last_piece() -> None:
    times = iter([10.0, 11.5, 14.0])
    turn = Turn(Question("q"), clock=lambda: next(times))
    for _ in range(3):
        turn.add_reasoning("x", 1)
    assert turn.thinking_seconds == 4.0
