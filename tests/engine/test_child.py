"""The child process: whatever happens to it, the user interface lives, is told at once and goes on."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from engine.conftest import TESTS, scripted_child
from magistral_mlx.engine.child import PYTHON, ChildEngine
from magistral_mlx.engine.protocol import (
    Answer,
    AskRequest,
    Done,
    EngineEvent,
    Failed,
    Progress,
    Ready,
    Reasoning,
)
from magistral_mlx.storage import paths
from support.engine_face import ask, failure_of, reply_to, start, thought, until
from support.fake_runtime import MODEL


def children() -> list[psutil.Process]:
    """Return the running engines that this process started."""
    return [child for child in psutil.Process().children() if _is_engine(child)]


def _is_engine(child: psutil.Process) -> bool:
    """Whether it is alive and an engine; other tests may have left processes."""
    return child.status() != psutil.STATUS_ZOMBIE and "faulthandler" in child.cmdline()


def runs(process: int) -> bool:
    """Whether it still runs; a container may keep ended processes as zombies."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_kill_9_in_mid_thought_is_told_at_once_and_start_brings_it_back(child: ChildEngine) -> None:
    await start(child)
    (process,) = children()
    events: list[EngineEvent] = []
    async for event in child.ask(AskRequest("think:so stall")):
        events.append(event)
        if isinstance(event, Reasoning):
            process.kill()
    failed = events[-1]
    assert thought(events[:-1]) == ("so", 1)
    assert isinstance(failed, Failed)
    assert failed.engine_lost
    assert "killed" in failed.problem
    assert failed.remedy
    assert failed.log is not None
    assert Path(failed.log).parent == paths.log_directory()
    assert (await failure_of(child, "say:x")).engine_lost
    assert await start(child) == Ready(MODEL)
    assert (await reply_to(child, "turns")).reply.answer == "0"


async def test_a_native_crash_names_its_signal_and_leaves_its_stack_in_the_log(child: ChildEngine) -> None:
    await start(child)
    (process,) = children()
    running = asyncio.create_task(failure_of(child, "stall"))
    await asyncio.sleep(0.1)
    process.send_signal(signal.SIGSEGV)
    failed = await running
    assert "SIGSEGV" in failed.problem
    assert failed.log is not None
    assert "Segmentation fault" in Path(failed.log).read_text()


async def test_death_between_questions_reaches_the_watcher_who_outlives_it(child: ChildEngine) -> None:
    await start(child)
    heard: list[Progress | Failed] = []

    async def watch() -> None:
        async for event in child.watch():
            heard.append(event)

    watching = asyncio.create_task(watch())
    await until(lambda: bool(heard))
    children()[0].kill()
    await until(lambda: any(isinstance(event, Failed) for event in heard))
    await child.close()
    await start(child)
    heard.clear()
    await until(lambda: bool(heard))
    assert isinstance(heard[0], Progress)
    watching.cancel()


async def test_a_death_that_nobody_watched_is_no_news_after_the_restart(child: ChildEngine) -> None:
    await start(child)
    (process,) = children()
    process.kill()
    await until(lambda: not runs(process.pid))
    await start(child)
    assert isinstance(await anext(child.watch()), Progress)


async def test_death_while_loading(child: ChildEngine) -> None:
    failed = await start(child, "deadly")
    assert isinstance(failed, Failed)
    assert failed.engine_lost
    assert await start(child) == Ready(MODEL)


async def test_a_program_that_cannot_start() -> None:
    engine = ChildEngine(command=("/nowhere/python", "-m", "nothing"))
    failed = await start(engine)
    assert isinstance(failed, Failed)
    assert failed.engine_lost
    assert "could not be started" in failed.problem
    await engine.close()


async def test_a_program_that_leaves_at_once() -> None:
    engine = ChildEngine(command=(sys.executable, "-c", "import sys; sys.exit('no module')"))
    failed = await start(engine)
    assert isinstance(failed, Failed)
    assert "exit status 1" in failed.problem
    assert failed.log is not None
    assert Path(failed.log).read_text() == "no module\n"
    await engine.close()


async def test_garbage_on_the_wire_ends_the_child(child: ChildEngine) -> None:
    await start(child)
    (process,) = children()
    failed = await failure_of(child, 'think:so sleep:0.1 garbage:[1,{"type":"Boom"}] stall')
    assert failed.engine_lost
    assert "unreadable message" in failed.problem
    assert not process.is_running()
    assert await start(child) == Ready(MODEL)


async def bare_worker(stdout: int) -> asyncio.subprocess.Process:
    """Start the child alone; the test takes the place of the user interface."""
    return await asyncio.create_subprocess_exec(
        *(*PYTHON, "-m", "support.fake_runtime"),
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )


async def test_garbage_on_the_way_in_harms_nothing() -> None:
    process = await bare_worker(subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b'nonsense\n\xff\n[1, {"type": "Start", "model": null}]\n')
    kinds: list[str] = []
    while "Ready" not in kinds:
        kinds.append(json.loads(await process.stdout.readline())[1]["type"])
    assert kinds.count("Failed") == 2
    process.stdin.close()
    assert await process.wait() == 0


async def test_a_worker_that_nobody_reads_from_leaves() -> None:
    face_end, worker_end = os.pipe()
    process = await bare_worker(worker_end)
    os.close(worker_end)
    os.close(face_end)
    assert await process.wait() == 0
    assert process.stdin is not None
    process.stdin.close()


async def test_prints_of_libraries_go_to_the_log_and_not_to_the_wire(child: ChildEngine) -> None:
    await start(child)
    assert (await reply_to(child, "print:chatter say:clean")).reply.answer == "clean"
    await child.close()
    (log,) = paths.log_directory().glob("engine-*.log")
    assert log.read_text().count("chatter") == 3


async def test_a_flood_with_a_slow_reader_arrives_whole_and_does_not_hold_up_the_answer(
    child: ChildEngine,
) -> None:
    await start(child)
    events: list[EngineEvent] = []
    count = 0
    async for event in child.ask(AskRequest("flood:10000 say:end")):
        events.append(event)
        if isinstance(event, Reasoning | Answer):
            count += 1
            await asyncio.sleep(0.05)
    assert thought(events) == ("".join(f"{number}\n" for number in range(10_000)), 10_000)
    assert isinstance(events[-1], Done)
    assert events[-1].reply.answer == "end"
    assert count < 100  # pieces were merged, not queued


async def test_a_reader_that_does_not_read_at_all_does_not_hold_up_the_answer(child: ChildEngine) -> None:
    await start(child)
    stream = child.ask(AskRequest("flood:200000 say:end"))
    await anext(stream)
    time.sleep(0.5)
    events = [event async for event in stream]
    assert thought(events)[1] == 200_000
    assert isinstance(events[-1], Done)


async def test_close_ends_a_child_that_does_not_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("magistral_mlx.engine.child.PATIENCE", 0.1)
    engine = scripted_child("ignore-sigterm")
    await start(engine)
    (process,) = children()
    running = asyncio.create_task(ask(engine, "stall"))
    await asyncio.sleep(0.1)
    process.suspend()
    await engine.close()
    assert not process.is_running()
    assert isinstance((await running)[-1], Failed)


async def test_close_is_polite_first(child: ChildEngine) -> None:
    await start(child)
    (process,) = children()
    running = asyncio.create_task(ask(child, "stall"))
    await asyncio.sleep(0.1)
    await child.close()
    assert not process.is_running()
    await running


async def test_ctrl_c_in_the_terminal_does_not_reach_the_child(child: ChildEngine) -> None:
    await start(child)
    (process,) = children()
    assert os.getsid(process.pid) == process.pid
    assert os.getpgid(process.pid) != os.getpgid(0)


INTERFACE = """
import asyncio, os, sys
from engine.conftest import scripted_child
from magistral_mlx.engine.protocol import AskRequest, Reasoning
import psutil

async def main():
    engine = scripted_child()
    async for _ in engine.start(None):
        pass
    async for event in engine.ask(AskRequest("think:so " + sys.argv[1])):
        if isinstance(event, Reasoning):
            print(psutil.Process().children()[0].pid, flush=True)
            os.kill(os.getpid(), 9)

asyncio.run(main())
"""


@pytest.mark.parametrize("busy_with", ["endless", "stall"])
def test_a_killed_user_interface_takes_its_child_with_it(busy_with: str) -> None:
    face = subprocess.run(
        [sys.executable, "-c", INTERFACE, busy_with],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        check=False,
    )
    assert face.returncode == -signal.SIGKILL
    orphan = int(face.stdout)
    while runs(orphan):  # the test's own timeout is the limit
        time.sleep(0.02)


async def test_the_users_folder_does_not_shadow_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    engine = scripted_child()
    assert await start(engine) == Ready(MODEL)
    await engine.close()


async def test_an_engine_without_a_log_is_better_than_none(child: ChildEngine, own_home: Path) -> None:
    own_home.joinpath("magistral-mlx").mkdir()
    own_home.joinpath("magistral-mlx", "logs").write_text("a file where the folder should be")
    assert await start(child) == Ready(MODEL)
    failed = await failure_of(child, "suicide")
    assert failed.engine_lost
    assert failed.log is None


async def test_close_while_it_comes_up_leaves_nothing(child: ChildEngine) -> None:
    starting = asyncio.create_task(start(child))
    await asyncio.sleep(0)
    await child.close()
    failed = await starting
    assert isinstance(failed, Failed)
    assert failed.engine_lost
    assert children() == []


async def test_a_cancelled_start_leaves_nothing(child: ChildEngine) -> None:
    starting = asyncio.create_task(start(child, "slow"))
    await until(lambda: bool(children()))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert children() == []
    assert (await failure_of(child, "say:x")).engine_lost


async def test_a_cancelled_question_stops_its_answer(child: ChildEngine) -> None:
    await start(child)
    asking = asyncio.create_task(ask(child, "endless"))
    await asyncio.sleep(0.1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (await reply_to(child, "say:next")).reply.answer == "next"
