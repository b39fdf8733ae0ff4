"""The fake behind the app's tests keeps the Engine Protocol."""

import asyncio

import pytest

from magistral_mlx.engine.protocol import (
    Answer,
    AskRequest,
    CacheDone,
    Done,
    Engine,
    EngineEvent,
    Failed,
    Paused,
    Progress,
    Ready,
    Reasoning,
)
from magistral_mlx.errors import EngineError
from magistral_mlx.events import Ending
from magistral_mlx.storage.messages import SavedTurn
from support.fake_engine import MODEL, Die, Pause, ScriptedEngine, Stall, done


async def asked(engine: Engine, text: str = "?") -> list[EngineEvent]:
    return [event async for event in engine.ask(AskRequest(text))]


async def started(engine: Engine) -> None:
    events = [event async for event in engine.start(None)]
    assert events[-1] == Ready(MODEL)


async def test_plays_its_turns_and_completes_them() -> None:
    engine = ScriptedEngine(turns=[[Reasoning("so", 1), Pause(0.01), Answer("85", 1)], [done("x")]])
    await started(engine)
    assert await asked(engine) == [Reasoning("so", 1), Answer("85", 1), done("85", reasoning="so")]
    assert await asked(engine) == [done("x")]
    assert engine.calls == ["start", "ask", "ask"]


async def test_stop_ends_a_stall_and_keeps_the_text() -> None:
    engine = ScriptedEngine(turns=[[Reasoning("so", 1), Stall(), Answer("never", 1)]])
    await started(engine)
    running = asyncio.create_task(asked(engine))
    await asyncio.sleep(0.01)
    with pytest.raises(EngineError):
        await asked(engine)
    await engine.stop()
    assert (await running)[-1] == done("", reasoning="so", ending=Ending.STOPPED)


async def test_death_in_mid_thought_and_restart() -> None:
    engine = ScriptedEngine(turns=[[Reasoning("so", 1), Die(log="/tmp/log")], [done("back")]])
    await started(engine)
    last = (await asked(engine))[-1]
    assert isinstance(last, Failed)
    assert last.engine_lost
    refused = (await asked(engine))[-1]
    assert isinstance(refused, Failed)
    await started(engine)
    assert isinstance((await asked(engine))[-1], Done)


async def test_the_watcher_hears_idle_figures_and_death_over_a_restart() -> None:
    engine = ScriptedEngine()
    await started(engine)
    engine.idle(Progress(context_used=3))
    engine.die()
    watching = engine.watch()
    assert await anext(watching) == Progress(context_used=3)
    assert isinstance(await anext(watching), Failed)
    await engine.close()
    await started(engine)
    engine.idle(Progress(context_used=4))
    assert await anext(watching) == Progress(context_used=4)


async def test_answer_now_skips_the_thought() -> None:
    engine = ScriptedEngine(turns=[[Reasoning("so", 1), Stall(), Reasoning("on", 1), Answer("85", 1)]])
    await started(engine)
    events: list[EngineEvent] = []
    async for event in engine.ask(AskRequest("?")):
        events.append(event)
        if isinstance(event, Reasoning):
            await engine.answer_now()
    assert events == [Reasoning("so", 1), Answer("85", 1), done("85", reasoning="so")]


async def test_pause_hint_and_resume() -> None:
    engine = ScriptedEngine(turns=[[Reasoning("so", 1), Stall(), Answer("85", 1)]])
    await started(engine)
    events: list[EngineEvent] = []
    async for event in engine.ask(AskRequest("?")):
        events.append(event)
        if event == Reasoning("so", 1):
            await engine.pause()
        elif isinstance(event, Paused):
            await engine.resume("the legs")
        elif event == Reasoning("the legs", 1):
            await engine.answer_now()
    assert events[1:3] == [Paused(), Reasoning("the legs", 1)]
    assert events[-1] == done("85", reasoning="sothe legs")
    assert engine.hints == ["the legs"]


async def test_continue_joins_and_the_other_verbs_are_noted() -> None:
    engine = ScriptedEngine(turns=[[Reasoning("so", 1), Answer("8", 1)], [Answer("5", 1)]])
    await started(engine)
    await asked(engine)
    events = [event async for event in engine.continue_(9)]
    assert events == [Answer("5", 1), done("85", reasoning="so")]
    turns = (SavedTurn("?", answer="85"),)
    assert await engine.open_conversation(turns) is None
    assert isinstance(await engine.save_cache("a"), CacheDone)
    engine.refusal = Failed("damaged")
    assert await engine.load_cache("a") == Failed("damaged")
    assert (engine.continued, engine.opened, engine.caches) == ([9], [(turns, None)], ["a", "a"])
