"""An engine that hangs, loses its GPU or runs out of memory is reported at once, ended, started again."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from engine.conftest import scripted_child
from engine.test_child import children
from magistral_mlx.engine import host as hosts
from magistral_mlx.engine.child import ChildEngine, worker_command
from magistral_mlx.engine.host import Host
from magistral_mlx.engine.linked import LinkedEngine
from magistral_mlx.engine.protocol import (
    Ask,
    AskRequest,
    Done,
    EngineEvent,
    Failed,
    Message,
    Progress,
    Ready,
    Reasoning,
    Start,
)
from magistral_mlx.events import Ending
from magistral_mlx.machine.telemetry import Telemetry
from magistral_mlx.storage.messages import Options, SavedTurn
from support.engine_face import ask, failure_of, reply_to, start, until
from support.fake_runtime import MODEL, ScriptedRuntime

TURNS = (SavedTurn("What is 4 + 3?", reasoning="Four and three.", answer="7"),)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a child count as hung after half a second without a sign of life, not after thirty."""
    monkeypatch.setattr("magistral_mlx.engine.child.PULSE_TICK", 0.1)
    monkeypatch.setattr("magistral_mlx.engine.child.SILENT_TICKS", 30)


async def restored(engine: LinkedEngine) -> str:
    """Start again, open the conversation, and ask for its number of turns."""
    assert await start(engine) == Ready(MODEL)
    assert await engine.open_conversation(TURNS) is None
    return (await reply_to(engine, "turns")).reply.answer


@pytest.mark.usefixtures("impatient")
async def test_a_child_that_hangs_is_told_killed_and_replaced(child: ChildEngine) -> None:
    await start(child)
    (process,) = children()
    events: list[EngineEvent] = []
    async for event in child.ask(AskRequest("think:so endless")):
        events.append(event)
        if isinstance(event, Reasoning) and len(events) < 10:
            process.suspend()
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert failed.engine_lost
    assert failed.problem == "The engine hung: it gave no sign of life for 3 seconds, and was ended"
    assert not process.is_running()
    assert await restored(child) == "1"


@pytest.mark.usefixtures("impatient")
async def test_a_child_that_hangs_between_questions_reaches_the_watcher(child: ChildEngine) -> None:
    await start(child)
    heard: list[Progress | Failed] = []

    async def watch() -> None:
        async for event in child.watch():
            heard.append(event)

    watching = asyncio.create_task(watch())
    children()[0].suspend()
    await until(lambda: any(isinstance(event, Failed) for event in heard))
    watching.cancel()
    assert await restored(child) == "1"


async def test_kill_9_and_the_conversation_is_told_to_the_next_one(child: ChildEngine) -> None:
    await start(child)
    assert await child.open_conversation(TURNS) is None
    assert (await failure_of(child, "think:so suicide")).engine_lost
    assert await restored(child) == "1"


async def test_a_gpu_that_is_lost_ends_its_process_and_is_told_once(engine: LinkedEngine) -> None:
    await start(engine)
    failed = await failure_of(engine, "think:so lost")
    assert failed.engine_lost
    assert "SubmissionsIgnored" in failed.problem
    assert "again" in failed.remedy
    if isinstance(engine, ChildEngine):
        await until(lambda: children() == [])
    again = await failure_of(engine, "say:x")
    assert again.engine_lost
    assert await restored(engine) == "1"
    assert isinstance(await anext(engine.watch()), Progress)  # not the old failure once more


async def test_a_fault_that_passes_ends_the_question_alone(engine: LinkedEngine) -> None:
    await start(engine)
    failed = await failure_of(engine, "watchdog")
    assert not failed.engine_lost
    assert "held up the display" in failed.problem
    assert (await reply_to(engine, "say:next")).reply.answer == "next"


async def test_memory_that_runs_out_is_an_ending_and_the_next_question_works(engine: LinkedEngine) -> None:
    await start(engine)
    reply = (await reply_to(engine, "think:so nomemory")).reply
    assert (reply.reasoning, reply.ending) == ("so", Ending.OUT_OF_MEMORY)
    assert (await reply_to(engine, "say:next")).reply.answer == "next"


async def test_a_silence_that_is_not_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child's figures come while its answer works silently."""
    monkeypatch.setattr("magistral_mlx.engine.child.PULSE_TICK", 0.1)
    monkeypatch.setattr("magistral_mlx.engine.child.SILENT_TICKS", 50)
    engine = scripted_child()
    await start(engine)
    assert (await reply_to(engine, "sleep:6 say:done")).reply.answer == "done"
    await engine.close()


class Standing:
    """A stream that gives one event and then waits."""

    segments = None

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.waiting = threading.Event()

    def __iter__(self) -> "Standing":
        return self

    def __next__(self) -> Iterator[object]:
        self.waiting.set()
        self.go_on.wait()
        raise StopIteration

    def stop(self) -> None:
        pass


def test_an_answer_that_stands_still_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    emitted: list[Message] = []
    given_up: list[Failed] = []
    told = threading.Event()
    standing = Standing()
    runtime = ScriptedRuntime()
    monkeypatch.setattr(runtime, "stream", lambda request: standing)
    monkeypatch.setattr(hosts, "BUSY_INTERVAL", 0.01)

    def abandon(failed: Failed) -> None:
        given_up.append(failed)
        told.set()

    host = Host(
        runtime,
        lambda turn, message: emitted.append(message),
        telemetry=Telemetry,
        clock=lambda: now[0],
        abandon=abandon,
    )
    host.begin()
    host.handle(1, Start(None))
    host.handle(2, Ask(AskRequest("x")))
    standing.waiting.wait()
    now[0] += hosts.STALL_SECONDS - 1
    assert not told.wait(0.2)
    now[0] += 2
    told.wait()
    (failed,) = given_up
    assert failed.engine_lost
    assert "stood still for 600 seconds" in failed.problem
    assert failed in emitted
    standing.go_on.set()


async def test_the_machine_is_kept_awake_only_while_answering() -> None:
    states: list[str] = []

    class Awake:
        def __enter__(self) -> None:
            states.append("awake")

        def __exit__(self, *error: object) -> None:
            states.append("asleep")

    done = threading.Event()

    def emit(turn: int, message: Message) -> None:
        if isinstance(message, Done | Failed):
            states.append(type(message).__name__)
            done.set()

    host = Host(ScriptedRuntime(), emit, telemetry=Telemetry, awake=Awake)
    host.begin()
    host.handle(1, Start(None))
    host.handle(2, Ask(AskRequest("say:x")))
    await asyncio.to_thread(done.wait)
    await until(lambda: len(states) == 3)
    assert states == ["awake", "Done", "asleep"]
    done.clear()
    host.handle(3, Ask(AskRequest("defect")))
    await asyncio.to_thread(done.wait)
    assert states[3:] == ["awake", "asleep", "Failed"]


async def test_gauges_show_what_the_runtime_says_of_its_cache(engine: LinkedEngine) -> None:
    await start(engine)
    for bits, expected in ((None, 1600), (8, 800), (4, 400)):
        async for _ in engine.ask(AskRequest("say:x", options=Options(kv_bits=bits))):
            pass
        async for event in engine.watch():
            if isinstance(event, Progress) and event.kv_bytes == expected:
                break


def test_settings_of_the_child_are_on_its_command_line() -> None:
    assert worker_command(kv_bits=8, wire=True)[-3:] == ("--kv-bits", "8", "--wire")
    assert "--wire" not in worker_command()


async def test_nothing_is_left_over(child: ChildEngine) -> None:
    await start(child)
    assert (await failure_of(child, "lost")).engine_lost
    await child.close()
    assert children() == []
    assert isinstance((await ask(child, "say:x"))[-1], Failed)
