"""The engines on the real runtime, with a scripted checkpoint, converted and loaded like any other."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from engine.test_child import children
from magistral_mlx.engine.child import ChildEngine
from magistral_mlx.engine.local import LocalEngine
from magistral_mlx.engine.protocol import (
    AskRequest,
    CacheDone,
    Done,
    EngineEvent,
    Failed,
    Prefill,
    Progress,
    Ready,
    Reasoning,
)
from magistral_mlx.events import Ending
from magistral_mlx.storage.messages import Options, SavedTurn
from magistral_mlx_convert import convert
from support.engine_face import answer, reply_to, start, thought
from support.scripted import END_THINK, EOS, THINK, counting, write_scripted_checkpoint

THOUGHT = counting(300)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a model that thinks for some seconds and then answers "7"."""
    folder = tmp_path_factory.mktemp("counting")
    script = [THINK, THOUGHT, END_THINK, "It is **7**.", EOS]
    return str(convert(write_scripted_checkpoint(folder / "hf", script), folder / "counting", bits=16))


@pytest.fixture
async def child() -> AsyncIterator[ChildEngine]:
    engine = ChildEngine()
    yield engine
    await engine.close()


@pytest.fixture
async def local(model: str) -> AsyncIterator[LocalEngine]:
    engine = LocalEngine()
    await start(engine, model)
    yield engine
    await engine.close()


async def test_a_life_in_a_child_process(child: ChildEngine, model: str) -> None:
    ready = await start(child, model)
    assert isinstance(ready, Ready)
    assert (ready.model.path, ready.model.context_length, ready.model.vision) == (model, 4096, True)
    events = [event async for event in child.ask(AskRequest("What is 4 + 3?"))]
    last = events[-1]
    assert isinstance(last, Done)
    assert last.reply.ending is Ending.COMPLETE
    assert thought(events) == (THOUGHT, last.reply.stats.reasoning_tokens)
    assert answer(events) == ("It is **7**.", last.reply.stats.answer_tokens)
    assert any(isinstance(event, Prefill) and event.done == event.total for event in events)
    again = await reply_to(child, "And again?")
    assert again.reply.stats.cached_tokens > last.reply.stats.prompt_tokens
    await child.new_conversation()
    assert (await stopped_early(child)).reply.reasoning
    await killed_in_mid_thought(child)
    assert isinstance(await start(child, model), Ready)
    first = await reply_to(child, "What is 4 + 3?")
    assert first.reply.answer == "It is **7**."
    assert first.reply.stats.cached_tokens == 0


async def killed_in_mid_thought(engine: ChildEngine) -> None:
    (process,) = children()
    events: list[EngineEvent] = []
    async for event in engine.ask(AskRequest("What is 4 + 3?")):
        events.append(event)
        if isinstance(event, Reasoning):
            process.kill()
    assert isinstance(events[-1], Failed)
    assert events[-1].engine_lost


async def kv_bytes_of(engine: ChildEngine | LocalEngine, *, empty: bool = False) -> int:
    """Return the gauges' figure, once it is above 0 (or 0)."""
    async for event in engine.watch():
        if isinstance(event, Progress) and event.kv_bytes is not None and (event.kv_bytes == 0) == empty:
            return event.kv_bytes
    raise AssertionError("the engine said nothing more")


async def each_width_takes_its_bytes(engine: ChildEngine | LocalEngine) -> None:
    """Ask the same short question in each width, each time in a new conversation."""
    sizes: dict[int | None, int] = {}
    for bits in (None, 8, 4):
        async for _ in engine.ask(AskRequest("What is 4 + 3?", options=Options(kv_bits=bits, max_tokens=8))):
            pass
        sizes[bits] = await kv_bytes_of(engine)
        again = AskRequest("And now?", options=Options(max_tokens=8))  # the conversation keeps its width
        async for _ in engine.ask(again):
            pass
        assert await kv_bytes_of(engine) == sizes[bits]
        await engine.new_conversation()
        await kv_bytes_of(engine, empty=True)
    plain = sizes[None]
    # A byte, or half of one, for four; and a scale and a bias of four bytes each for every 32 numbers.
    assert sizes == {None: plain, 8: plain * (8 + 2) // 32, 4: plain * (4 + 2) // 32}


async def test_the_width_of_the_cache_reaches_the_runtime(local: LocalEngine) -> None:
    await each_width_takes_its_bytes(local)


@pytest.mark.thorough
async def test_the_width_of_the_cache_reaches_the_child(child: ChildEngine, model: str) -> None:
    await start(child, model)
    await each_width_takes_its_bytes(child)


async def stopped_early(engine: ChildEngine | LocalEngine) -> Done:
    events: list[EngineEvent] = []
    async for event in engine.ask(AskRequest("What is 4 + 3?")):
        events.append(event)
        if isinstance(event, Reasoning):
            await engine.stop()
    last = events[-1]
    assert isinstance(last, Done)
    assert last.reply.ending is Ending.STOPPED
    assert THOUGHT.startswith(last.reply.reasoning)
    assert len(last.reply.reasoning) < len(THOUGHT)
    assert thought(events)[0] == last.reply.reasoning
    return last


async def test_the_local_engine_does_the_same(local: LocalEngine) -> None:
    await stopped_early(local)
    assert (await reply_to(local, "And now?")).reply.stats.cached_tokens > 0
    await local.new_conversation()
    assert (await reply_to(local, "Who are you?")).reply.answer == "It is **7**."


async def test_an_image_travels_as_a_path(local: LocalEngine, tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    Image.new("RGB", (56, 28), "red").save(path)
    events = [event async for event in local.ask(AskRequest("What is it?", images=(str(path),)))]
    last = events[-1]
    assert isinstance(last, Done)
    assert last.reply.stats.image_tokens == 2


async def test_a_file_that_is_no_image_fails_the_question_only(local: LocalEngine, tmp_path: Path) -> None:
    path = tmp_path / "note.png"
    path.write_text("not an image")
    last = [event async for event in local.ask(AskRequest("What is it?", images=(str(path),)))][-1]
    assert isinstance(last, Failed)
    assert not last.engine_lost
    assert "note.png" in last.problem
    assert last.remedy
    assert (await reply_to(local, "Never mind.")).reply.answer == "It is **7**."


async def test_the_system_text_belongs_to_the_conversation(local: LocalEngine) -> None:
    async def ask(system: str | None) -> EngineEvent:
        return [event async for event in local.ask(AskRequest("Hello", system=system))][-1]

    assert isinstance(await ask("You are terse."), Done)
    refused = await ask(None)
    assert isinstance(refused, Failed)
    assert "new conversation" in refused.remedy
    await local.new_conversation()
    assert isinstance(await ask(None), Done)


async def test_a_folder_without_a_model(tmp_path: Path) -> None:
    engine = LocalEngine()
    failed = await start(engine, str(tmp_path))
    assert isinstance(failed, Failed)
    assert str(tmp_path) in failed.problem
    assert failed.remedy
    await engine.close()


async def test_steering_going_on_and_caches_on_disk(local: LocalEngine, tmp_path: Path) -> None:
    events: list[EngineEvent] = []
    async for event in local.ask(AskRequest("What is 4 + 3?")):
        events.append(event)
        if isinstance(event, Reasoning):
            await local.answer_now()
    assert answer(events)[0] == "It is **7**."
    stopped = await stopped_early(local)
    more = [event async for event in local.continue_()]
    assert isinstance(more[-1], Done)
    assert more[-1].reply.reasoning == THOUGHT
    assert stopped.reply.reasoning + thought(more)[0] == THOUGHT
    path = str(tmp_path / "chat.cache")
    saved = await local.save_cache(path)
    assert isinstance(saved, CacheDone)
    turns = [
        SavedTurn("What is 4 + 3?", (), thought(events)[0], "It is **7**."),
        SavedTurn("What is 4 + 3?", (), THOUGHT, "It is **7**."),
    ]
    await local.new_conversation()
    assert await local.open_conversation(turns) is None
    assert await local.load_cache(path) == saved
    again = await reply_to(local, "Sure?")
    assert again.reply.stats.cached_tokens > more[-1].reply.stats.prompt_tokens
    missing = await local.load_cache(str(tmp_path / "none"))
    assert isinstance(missing, Failed)
    assert not missing.engine_lost
