"""Pause, hint, answer now, continue, reopened conversations and saved caches, through both engines."""

from pathlib import Path

import pytest

from magistral_mlx.engine.linked import LinkedEngine
from magistral_mlx.engine.protocol import (
    AskRequest,
    CacheDone,
    Done,
    EngineEvent,
    Failed,
    Paused,
    Progress,
    Reasoning,
)
from magistral_mlx.errors import EngineError
from magistral_mlx.events import ContextSegments, Ending
from magistral_mlx.storage.messages import SavedTurn
from support.engine_face import answer, failure_of, reply_to, start, thought


async def test_answer_now_ends_an_endless_thought(engine: LinkedEngine) -> None:
    await start(engine)
    events: list[EngineEvent] = []
    async for event in engine.ask(AskRequest("endless say:85")):
        events.append(event)
        if isinstance(event, Reasoning):
            await engine.answer_now()
    assert isinstance(events[-1], Done)
    assert events[-1].reply.ending is Ending.COMPLETE
    assert answer(events) == ("85", 1)


async def test_pause_rests_until_resume_and_the_hint_is_thought(engine: LinkedEngine) -> None:
    await start(engine)
    events: list[EngineEvent] = []
    async for event in engine.ask(AskRequest("endless say:85")):
        events.append(event)
        if len(events) == 1:
            await engine.pause()
        elif isinstance(event, Paused):
            await engine.resume("count the legs")
        elif isinstance(event, Reasoning) and "count the legs" in event.text:
            await engine.answer_now()
    assert sum(isinstance(event, Paused) for event in events) == 1
    assert "count the legs" in thought(events)[0]
    assert answer(events) == ("85", 1)


async def test_what_steers_an_answer_may_come_before_it_begins(engine: LinkedEngine) -> None:
    await start(engine)
    paused = False
    stream = engine.ask(AskRequest("think:so endless"))
    first = await anext(stream)  # the request is on its way
    assert not isinstance(first, Done | Failed)
    await engine.pause()
    async for event in stream:
        if isinstance(event, Paused):
            paused = True
            await engine.stop()
    assert paused


async def test_stop_ends_a_pause(engine: LinkedEngine) -> None:
    await start(engine)
    last: EngineEvent | None = None
    async for last in engine.ask(AskRequest("think:so endless")):
        if isinstance(last, Reasoning):
            await engine.pause()
        elif isinstance(last, Paused):
            await engine.stop()
    assert isinstance(last, Done)
    assert last.reply.ending is Ending.STOPPED
    assert (await reply_to(engine, "say:next")).reply.answer == "next"


async def test_steering_without_an_answer_does_nothing(engine: LinkedEngine) -> None:
    await engine.pause()
    await start(engine)
    for steer in (engine.pause, engine.answer_now, engine.resume):
        await steer()
    assert (await reply_to(engine, "say:next")).reply.answer == "next"


async def test_continue(engine: LinkedEngine) -> None:
    await start(engine)
    refused = [event async for event in engine.continue_()][-1]
    assert isinstance(refused, Failed)
    assert not refused.engine_lost
    await reply_to(engine, "say:so")
    events = [event async for event in engine.continue_(7)]
    assert answer(events) == ("more7", 2)
    assert isinstance(events[-1], Done)


async def test_a_second_answer_while_one_goes_on_is_refused(engine: LinkedEngine) -> None:
    await start(engine)
    running = engine.ask(AskRequest("endless"))
    await anext(running)
    with pytest.raises(EngineError):
        await anext(engine.continue_())
    await running.aclose()


async def test_open_conversation(engine: LinkedEngine) -> None:
    await start(engine)
    await reply_to(engine, "say:so")
    turns = [SavedTurn("One?", (), "so", "1"), SavedTurn("Two?"), SavedTurn("Three?", answer="3")]
    assert await engine.open_conversation(turns, system="You are terse.") is None
    assert (await reply_to(engine, "turns")).reply.answer == "3"
    failed = await engine.open_conversation([SavedTurn("One?", ("lost.png",))])
    assert isinstance(failed, Failed)
    assert not failed.engine_lost
    assert (await reply_to(engine, "turns")).reply.answer == "4"


async def test_open_conversation_stops_what_runs(engine: LinkedEngine) -> None:
    await start(engine)
    last: EngineEvent | None = None
    async for last in engine.ask(AskRequest("think:so endless")):
        if isinstance(last, Reasoning) and last.text:
            assert await engine.open_conversation(()) is None
    assert isinstance(last, Done)
    assert last.reply.ending is Ending.STOPPED
    assert (await reply_to(engine, "turns")).reply.answer == "0"


async def test_caches_on_disk(engine: LinkedEngine, tmp_path: Path) -> None:
    await start(engine)
    path = tmp_path / "a.cache"
    assert await engine.save_cache(str(path)) == CacheDone(5)
    assert await engine.load_cache(str(path)) == CacheDone(5)
    path.write_text("oops")
    assert await engine.load_cache(str(path)) == Failed("The file is damaged", "Go on without it.")
    missing = await engine.load_cache(str(tmp_path / "b.cache"))
    assert isinstance(missing, Failed)
    assert not missing.engine_lost


async def test_an_engine_that_is_not_running_says_so(engine: LinkedEngine) -> None:
    for outcome in (
        await engine.open_conversation(()),
        await engine.save_cache("x"),
        await engine.load_cache("x"),
    ):
        assert isinstance(outcome, Failed)
        assert outcome.engine_lost
    assert (await failure_of(engine, "say:x")).engine_lost


async def test_an_engine_that_dies_meanwhile_is_told(engine: LinkedEngine) -> None:
    await start(engine)
    running = engine.ask(AskRequest("endless"))
    await anext(running)
    saving = engine.save_cache("/nowhere/x")
    await engine.close()
    outcome = await saving
    assert isinstance(outcome, Failed)
    assert outcome.engine_lost
    await running.aclose()


async def test_figures_tell_what_the_context_is_made_of(engine: LinkedEngine) -> None:
    await start(engine)
    await reply_to(engine, "think:a think:b say:c")
    async for event in engine.watch():
        if isinstance(event, Progress) and event.context_used == 13:
            assert event.segments == ContextSegments(system=4, history=6, reasoning=2, answer=1)
            assert event.kv_bytes == 1600
            break
