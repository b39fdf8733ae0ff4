"""The contract of every engine, in a thread or in a child process."""

import asyncio
from contextlib import aclosing

import pytest

from magistral_mlx.engine.linked import LinkedEngine
from magistral_mlx.engine.protocol import (
    AskRequest,
    Done,
    EngineEvent,
    Failed,
    Loading,
    Prefill,
    Progress,
    Ready,
    Reasoning,
)
from magistral_mlx.errors import EngineError
from magistral_mlx.events import Ending
from support.engine_face import answer, ask, failure_of, reply_to, start, thought
from support.fake_runtime import MODEL


async def test_start_tells_its_stages_and_the_model(engine: LinkedEngine) -> None:
    events = [event async for event in engine.start(None)]
    assert events[-1] == Ready(MODEL)
    assert events[:-1]
    assert all(isinstance(event, Loading) for event in events[:-1])


async def test_a_model_that_is_not_there(engine: LinkedEngine) -> None:
    failed = await start(engine, "missing")
    assert failed == Failed("There is no model 'missing'", "See `magistral models`.", engine_lost=True)
    assert (await failure_of(engine, "say:hello")).engine_lost
    assert await start(engine) == Ready(MODEL)


async def test_thought_and_answer_arrive_whole(engine: LinkedEngine) -> None:
    await start(engine)
    events = await ask(engine, "think:47+38 think:=85 sleep:0.05 say:It's say:85.")
    assert thought(events) == ("47+38=85", 2)
    assert answer(events) == ("It's85.", 2)
    assert [event for event in events if isinstance(event, Prefill)][-1] == Prefill(10, 10)
    reply = (await reply_to(engine, "think:a say:b")).reply
    assert (reply.reasoning, reply.answer, reply.ending) == ("a", "b", Ending.COMPLETE)


async def test_turns_are_one_conversation_until_a_new_one(engine: LinkedEngine) -> None:
    await start(engine)
    assert (await reply_to(engine, "turns")).reply.answer == "0"
    assert (await reply_to(engine, "turns")).reply.answer == "1"
    await engine.new_conversation()
    assert (await reply_to(engine, "turns")).reply.answer == "0"


async def test_stop_keeps_what_was_produced_and_the_next_question_works(engine: LinkedEngine) -> None:
    await start(engine)
    events: list[EngineEvent] = []
    async for event in engine.ask(AskRequest("think:so endless")):
        events.append(event)
        if isinstance(event, Reasoning):
            await engine.stop()
    last = events[-1]
    assert isinstance(last, Done)
    assert last.reply.ending is Ending.STOPPED
    assert last.reply.reasoning == thought(events)[0]
    assert last.reply.reasoning.startswith("so")
    assert (await reply_to(engine, "say:next")).reply.answer == "next"


async def test_stop_before_the_answer_began(engine: LinkedEngine) -> None:
    await start(engine)
    running = asyncio.create_task(ask(engine, "endless"))
    await asyncio.sleep(0)
    await engine.stop()
    assert (await reply_to(engine, "say:next")).reply.answer == "next"
    last = (await running)[-1]
    assert isinstance(last, Done)
    assert last.reply.ending is Ending.STOPPED


async def test_stop_without_an_answer_does_nothing(engine: LinkedEngine) -> None:
    await engine.stop()
    await start(engine)
    await engine.stop()
    assert (await reply_to(engine, "say:next")).reply.answer == "next"


async def test_two_answers_at_once_are_refused(engine: LinkedEngine) -> None:
    await start(engine)
    running = asyncio.create_task(ask(engine, "endless"))
    await asyncio.sleep(0.05)
    with pytest.raises(EngineError):
        await ask(engine, "say:too-early")
    await engine.stop()
    await running


async def test_leaving_the_iterator_stops_the_answer(engine: LinkedEngine) -> None:
    await start(engine)
    async with aclosing(engine.ask(AskRequest("endless"))) as stream:
        async for event in stream:
            if isinstance(event, Reasoning):
                break
    assert (await reply_to(engine, "say:next")).reply.answer == "next"


async def test_a_refused_question_leaves_the_engine_alive(engine: LinkedEngine) -> None:
    await start(engine)
    assert await failure_of(engine, "think:so refuse") == Failed("The question is empty", "Type a question.")
    assert (await reply_to(engine, "say:next")).reply.answer == "next"


async def test_a_defect_comes_back_as_words(engine: LinkedEngine) -> None:
    await start(engine)
    failed = await failure_of(engine, "think:so defect")
    assert "ZeroDivisionError" in failed.problem
    assert failed.remedy
    assert not failed.engine_lost
    assert (await reply_to(engine, "say:next")).reply.answer == "next"


async def test_gauges_move_while_answering(engine: LinkedEngine) -> None:
    await start(engine)
    moving: Progress | None = None
    async for event in engine.ask(AskRequest("endless")):
        if isinstance(event, Progress) and event.tokens_per_second:
            moving = event
            await engine.stop()
    assert moving is not None
    assert moving.tokens_per_second is not None
    assert moving.tokens_per_second > 1
    assert moving.time_to_first_token is not None
    assert moving.context_used > 10
    assert moving.context_length == MODEL.context_length
    assert moving.telemetry.footprint_bytes
    assert moving.telemetry.total_bytes


async def test_gauges_rest_between_questions(engine: LinkedEngine) -> None:
    await start(engine)
    await reply_to(engine, "think:a say:b")
    async for event in engine.watch():
        assert isinstance(event, Progress)
        if event.context_used == 12:
            assert event.tokens_per_second is None
            break


async def test_close_ends_everything_at_once_and_start_brings_it_back(engine: LinkedEngine) -> None:
    await start(engine)
    running = asyncio.create_task(ask(engine, "think:so endless"))
    await asyncio.sleep(0.05)
    await engine.close()
    await engine.close()
    last = (await running)[-1]
    assert isinstance(last, Failed)
    assert last.engine_lost
    assert (await failure_of(engine, "say:x")).engine_lost
    assert await start(engine) == Ready(MODEL)
    assert (await reply_to(engine, "say:next")).reply.answer == "next"


async def test_a_second_start_replaces_the_first(engine: LinkedEngine) -> None:
    await start(engine)
    await reply_to(engine, "turns")
    assert await start(engine) == Ready(MODEL)
    assert (await reply_to(engine, "turns")).reply.answer == "0"
