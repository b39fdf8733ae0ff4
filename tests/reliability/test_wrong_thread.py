"""R9: every public entry from three threads, from asyncio and from Textual workers; no error is swallowed."""

import asyncio
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from textual.app import App
from textual.worker import Worker

import magistral_mlx as mm
from support.models import scripted
from support.scripted import END_THINK, EOS, THINK, counting

THOUGHT, ANSWER = "Four and three.", "It is **7**, café."


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    with scripted(tmp_path_factory.mktemp("model"), [THINK, THOUGHT, END_THINK, ANSWER, EOS]) as model:
        yield model


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    with scripted(tmp_path_factory.mktemp("endless"), [THINK, counting(300)]) as model:
        yield model


def image() -> Image.Image:
    return Image.new("RGB", (60, 50), "red")


def _conversation(model: mm.Magistral) -> str:
    chat = model.conversation(system="Be terse.")
    chat.ask("Hello")
    with chat.stream("And now?") as stream:
        next(stream)
    return chat.ask("Again", images=[image()]).answer


def _stream(model: mm.Magistral) -> str:
    return "".join(e.text for e in model.stream("Hello") if isinstance(e, mm.AnswerText))


def _tokenize(model: mm.Magistral) -> str:
    assert model.tokenize([{"role": "user", "content": "Hello"}])
    return ANSWER


def _logits(model: mm.Magistral) -> str:
    assert model.logits([1, 3, 4]).shape[0] == 3
    return ANSWER


def _event(model: mm.Magistral) -> str:
    seen: list[mm.Event] = []
    model.ask("Hello", on_event=seen.append)
    assert isinstance(seen[-1], mm.Finished)
    return ANSWER


def _many(model: mm.Magistral) -> str:
    return {reply.answer for reply in model.ask_many(["Hello", "Good day"])}.pop()


def _look_up(name: str) -> str:
    """Looks something up."""
    return name


def _edited(model: mm.Magistral) -> str:
    chat = model.conversation()
    chat.ask("Hello")
    chat.edit(0, "Good day")
    assert chat.regenerate(seed=1).answer == ANSWER
    assert chat.ask("And now?", max_tokens=3).answer != ANSWER
    assert chat.continue_().answer == ANSWER
    branch = chat.branch()
    chat.forget_cache()
    assert chat.kv_bytes == 0 < chat.kv_bits
    return branch.ask("And then?").answer


def _saved(model: mm.Magistral) -> str:
    chat = model.conversation(kv_bits=8)
    chat.ask("Hello")
    with tempfile.TemporaryDirectory() as folder:
        chat.save(Path(folder) / "chat")
        chat.load_cache(Path(folder) / "chat")
        return model.load_conversation(Path(folder) / "chat").ask("And now?").answer


def _steered(model: mm.Magistral) -> str:
    stream = model.stream("Hello")
    stream.pause()
    assert isinstance(next(stream), mm.Paused)
    stream.resume("hint")
    stream.answer_now()
    assert stream.reply().answer == ANSWER
    stream.close()
    return ANSWER


def _loaded_and_closed(model: mm.Magistral) -> str:
    with mm.load(model.path, kv_bits=8) as another:
        return another.ask("Hello").answer


async def _awaited(model: mm.Magistral) -> str:
    chat = model.conversation()
    async for event in chat.astream("Hello"):
        last = event
    assert isinstance(last, mm.Finished)
    async with model.astream("Hello") as stream:
        await anext(stream)
    return (await chat.aask("And now?")).answer


ENTRIES: dict[str, Callable[[mm.Magistral], str]] = {
    "ask": lambda model: model.ask("Hello").answer,
    "ask about a picture": lambda model: model.ask("Hello", images=[image()]).answer,
    "ask in a shape": lambda model: model.ask("Hello", schema={"const": 1}).answer.replace("1", ANSWER),
    "ask with log-probabilities": lambda model: model.ask("Hello", logprobs=2).answer,
    "ask with callbacks": _event,
    "ask many": _many,
    "stream": _stream,
    "conversation": _conversation,
    "tokenize": _tokenize,
    "logits": _logits,
    "edit, regenerate, continue, branch": _edited,
    "save and load": _saved,
    "tools": lambda model: model.ask("Hello", tools=[_look_up], run_tools=True).answer,
    "pause, resume, answer now": _steered,
    "load and close": _loaded_and_closed,
    "astream": lambda model: asyncio.run(_awaited(model)),
    "aask": lambda model: asyncio.run(model.aask("Hello")).answer,
}


@pytest.mark.parametrize("name", ENTRIES)
def test_from_three_threads_at_once(model: mm.Magistral, name: str) -> None:
    together = threading.Barrier(3)

    def work(_: int) -> str:
        together.wait()
        return ENTRIES[name](model)

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(work, range(3))) == [ANSWER] * 3


async def test_from_asyncio_all_at_once(model: mm.Magistral) -> None:
    chat = model.conversation()
    replies = await asyncio.gather(
        model.aask("Hello"), model.aask("Hello", images=[image()]), chat.aask("Hello"), _collected(model)
    )
    assert {reply.answer for reply in replies} == {ANSWER}
    assert len(chat.turns) == 2


async def _collected(model: mm.Magistral) -> mm.Reply:
    events = [event async for event in model.astream("Hello")]
    last = events[-1]
    assert isinstance(last, mm.Finished)
    assert "".join(e.text for e in events if isinstance(e, mm.ReasoningText)) == THOUGHT
    return last.reply


async def test_the_event_loop_goes_on_meanwhile(endless: mm.Magistral) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting_task = asyncio.create_task(count())
    await endless.aask("Hello", max_tokens=60)
    counting_task.cancel()
    assert turns > 10


async def test_a_cancelled_task_stops_the_answer_and_keeps_what_there_is(endless: mm.Magistral) -> None:
    chat = endless.conversation()
    thinking = asyncio.Event()

    async def read() -> None:
        async for event in chat.astream("Hello", thinking_budget=None):
            if isinstance(event, mm.ReasoningText):
                thinking.set()

    task = asyncio.create_task(read())
    await thinking.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    reply = await chat.aask("And now?", max_tokens=5)  # it waits its turn behind the one that ends
    assert reply.stats.prompt_tokens > 0
    assert isinstance(chat.turns[0], mm.UserTurn)
    waiting = asyncio.create_task(chat.aask("And then?"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_stream_for_asyncio_can_be_left_and_steered(endless: mm.Magistral) -> None:
    async with endless.astream("Hello", max_tokens=200) as stream:
        async for event in stream:
            if isinstance(event, mm.ReasoningText):
                break
    assert [event async for event in stream] == []
    stream = endless.astream("Hello", max_tokens=200)
    stream.stop()
    assert (await stream.reply()).ending is mm.Ending.STOPPED


async def test_errors_reach_whoever_asked(model: mm.Magistral) -> None:
    for bad in ({"max_tokens": 1, "schema": {"type": "string"}}, {"temperature": -1}):
        with pytest.raises(mm.UsageError):
            await model.aask("Hello", **bad)  # type: ignore[arg-type]
        with ThreadPoolExecutor(1) as thread, pytest.raises(mm.UsageError):
            thread.submit(lambda options=bad: model.ask("Hello", **options)).result()

    def fail(event: mm.Event) -> None:
        raise LookupError(type(event).__name__)

    with pytest.raises(LookupError):
        model.ask("Hello", on_event=fail)
    assert model.ask("Hello").answer == ANSWER


class Asker(App[None]):
    """Asks from workers of every kind."""

    def __init__(self, model: mm.Magistral) -> None:
        super().__init__()
        self.model = model
        self.made: list[Worker[Any]] = []

    def on_mount(self) -> None:
        for _ in range(2):
            self.made.append(self.run_worker(lambda: self.model.ask("Hello").answer, thread=True))
            self.made.append(self.run_worker(self._asked()))

    async def _asked(self) -> str:
        return (await self.model.aask("Hello")).answer


async def test_from_textual_workers(model: mm.Magistral) -> None:
    app = Asker(model)
    async with app.run_test():
        assert [await worker.wait() for worker in app.made] == [ANSWER] * 4
