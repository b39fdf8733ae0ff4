"""A scripted engine: every answer, delay, error and death is written in the test. Keeps the Engine Protocol.

    engine = ScriptedEngine(turns=[
        [Prefill(0, 9), Reasoning("47 + 38 ...", 5), Pause(0.1), Answer("85", 1), done("85")],
        [Reasoning("Let me", 2), Die()],          # the process dies in mid-thought
        [Reasoning("Let me", 2), Stall()],        # nothing more comes until stop or close
    ])

Turn n answers question n; `continue_` plays the next one too. A script that ends without Done or Failed gets
a Done made of its pieces. `engine.requests`, `engine.calls` and the like tell what the face did.

`answer_now` skips what is left of the thought and cuts waiting short (`Stall` too). `pause` yields Paused
before the next step, or in the midst of waiting; the hint of `resume` is a piece of thought if the last piece
was one.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field

from magistral_mlx.engine.protocol import (
    Answer,
    AskRequest,
    CacheDone,
    Done,
    EngineEvent,
    EngineModel,
    Failed,
    Loading,
    Paused,
    Prefill,
    Progress,
    Ready,
    Reasoning,
)
from magistral_mlx.errors import EngineError
from magistral_mlx.events import Ending, Reply, Stats
from magistral_mlx.storage.messages import SavedTurn


@dataclass(frozen=True)
class Pause:
    """Nothing happens for `seconds`; stop and close cut it short."""

    seconds: float


@dataclass(frozen=True)
class Stall:
    """Nothing more comes until stop or close."""


@dataclass(frozen=True)
class Die:
    """The engine's process is gone from here on; `start` brings it back."""

    problem: str = "The engine stopped unexpectedly (killed by SIGKILL)"
    remedy: str = "Ask again: the engine starts anew, with an empty conversation."
    log: str | None = None


Step = EngineEvent | Pause | Stall | Die

MODEL = EngineModel(
    name="miniature",
    path="/models/miniature",
    is_miniature=True,
    context_length=4096,
    quantization="4-bit affine, group 64",
    vision=True,
    kv_bytes_per_token=1024,
    weight_bytes=2_000_000,
)
LOADING: tuple[Loading | Ready | Failed | Pause | Die, ...] = (
    Loading("Reading the checkpoint", 0, 2),
    Loading("Loading the weights", 1, 2),
    Ready(MODEL),
)


def done(
    answer: str, *, reasoning: str = "", ending: Ending = Ending.COMPLETE, stats: Stats | None = None
) -> Done:
    """A Done event in one line."""
    return Done(Reply(reasoning=reasoning, answer=answer, ending=ending, stats=stats or Stats()))


@dataclass
class ScriptedEngine:
    """An Engine that plays scripts; not running until `start`."""

    turns: Sequence[Sequence[Step]] = ()
    loading: Sequence[Loading | Ready | Failed | Pause | Die] = LOADING
    requests: list[AskRequest] = field(default_factory=list[AskRequest])
    started: list[str | None] = field(default_factory=list[str | None])
    calls: list[str] = field(default_factory=list[str])
    """Every call in order, by name: "start", "ask", "stop", "new_conversation", "close" ..."""
    hints: list[str | None] = field(default_factory=list[str | None])
    """What `resume` was given."""
    continued: list[int | None] = field(default_factory=list[int | None])
    """What `continue_` was given."""
    opened: list[tuple[tuple[SavedTurn, ...], str | None]] = field(
        default_factory=list[tuple[tuple[SavedTurn, ...], str | None]]
    )
    """The turns and system texts of `open_conversation`."""
    caches: list[str] = field(default_factory=list[str])
    """The paths of `save_cache` and `load_cache`."""
    refusal: Failed | None = None
    """What `open_conversation`, `save_cache` and `load_cache` answer instead of success."""

    def __post_init__(self) -> None:
        self._running = False
        self._closed = False
        self._asking = False
        self._played = 0
        self._reply = Reply("", "", Ending.COMPLETE)
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._pausing = asyncio.Event()
        self._going = asyncio.Event()
        self._hint: str | None = None
        self._between: asyncio.Queue[Progress | Failed] = asyncio.Queue()

    async def start(self, model: str | None) -> AsyncIterator[Loading | Ready | Failed]:
        self.calls.append("start")
        self.started.append(model)
        self._closed = False
        for step in self.loading:
            if isinstance(step, Pause):
                await self._pause(step.seconds)
            elif isinstance(step, Die):
                yield self._die(step)
                return
            else:
                self._running = isinstance(step, Ready)
                yield step

    async def ask(self, request: AskRequest) -> AsyncGenerator[EngineEvent, None]:
        self.calls.append("ask")
        async for event in self._answer(request, Reply("", "", Ending.COMPLETE)):
            yield event

    async def continue_(self, max_tokens: int | None = None) -> AsyncGenerator[EngineEvent, None]:
        self.calls.append("continue")
        self.continued.append(max_tokens)
        async for event in self._answer(None, self._reply):
            yield event

    async def _answer(self, request: AskRequest | None, before: Reply) -> AsyncGenerator[EngineEvent, None]:
        if self._asking:
            raise EngineError("An answer is still running", "Stop it first.")
        if not self._running:
            yield Failed("The engine is not running", "Start it.", engine_lost=True)
            return
        if request is not None:
            self.requests.append(request)
        self._played += 1
        if self._played > len(self.turns):
            raise AssertionError(f"question {self._played} has no script")
        self._asking = True
        self._stop.clear()
        self._hurry.clear()
        self._go_on()
        try:
            async for event in self._play(self.turns[self._played - 1], before):
                if isinstance(event, Done):
                    self._reply = event.reply
                yield event
        finally:
            self._asking = False

    async def watch(self) -> AsyncIterator[Progress | Failed]:
        while True:
            yield await self._between.get()

    async def stop(self) -> None:
        self.calls.append("stop")
        self._stop.set()
        self._go_on()

    async def answer_now(self) -> None:
        self.calls.append("answer_now")
        self._hurry.set()
        self._go_on()

    async def pause(self) -> None:
        self.calls.append("pause")
        self._going.clear()
        self._pausing.set()

    async def resume(self, hint: str | None = None) -> None:
        self.calls.append("resume")
        self.hints.append(hint)
        self._hint = hint
        self._go_on()

    async def open_conversation(
        self, turns: Sequence[SavedTurn], *, system: str | None = None
    ) -> Failed | None:
        self.calls.append("open_conversation")
        self._stop.set()
        self._go_on()
        if not self._running:
            return Failed("The engine is not running", "Start it.", engine_lost=True)
        self.opened.append((tuple(turns), system))
        return self.refusal

    async def save_cache(self, path: str) -> CacheDone | Failed:
        self.calls.append("save_cache")
        self.caches.append(path)
        return self.refusal or CacheDone(1000)

    async def load_cache(self, path: str) -> CacheDone | Failed:
        self.calls.append("load_cache")
        self.caches.append(path)
        return self.refusal or CacheDone(1000)

    async def new_conversation(self) -> None:
        self.calls.append("new_conversation")
        self._stop.set()
        self._go_on()

    async def close(self) -> None:
        self.calls.append("close")
        if not self._closed:
            self._closed = True
            self._running = False
            self._stop.set()
            self._go_on()

    def idle(self, progress: Progress) -> None:
        """Report `progress` to the watcher, as between questions."""
        self._between.put_nowait(progress)

    def die(self, step: Die | None = None) -> None:
        """End the engine between questions."""
        self._between.put_nowait(self._die(step or Die()))

    def _go_on(self) -> None:
        self._pausing.clear()
        self._going.set()

    async def _play(self, steps: Sequence[Step], before: Reply) -> AsyncIterator[EngineEvent]:
        reasoning, answer = before.reasoning, before.answer
        thinking = False
        for step in steps:
            if isinstance(step, Pause | Stall):
                await self._pause(step.seconds if isinstance(step, Pause) else None)
            while self._pausing.is_set():
                yield Paused()
                await self._going.wait()
                hint, self._hint = self._hint, None
                if hint and thinking:
                    reasoning += hint
                    yield Reasoning(hint, 1)
                if isinstance(step, Stall):
                    await self._pause(None)
            if self._stop.is_set():
                break
            if isinstance(step, Pause | Stall):
                continue
            if isinstance(step, Die):
                yield self._die(step)
                return
            thinking = isinstance(step, Reasoning)
            if thinking and self._hurry.is_set():
                continue
            reasoning += step.text if isinstance(step, Reasoning) else ""
            answer += step.text if isinstance(step, Answer) else ""
            yield step
            if isinstance(step, Done | Failed):
                return
            await asyncio.sleep(0)
        if self._closed:
            yield Failed("The engine was closed", "Start it.", engine_lost=True)
        else:
            ending = Ending.STOPPED if self._stop.is_set() else Ending.COMPLETE
            yield done(answer, reasoning=reasoning, ending=ending)

    async def _pause(self, seconds: float | None) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (self._stop, self._hurry, self._pausing)]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _die(self, step: Die) -> Failed:
        self._running = False
        return Failed(step.problem, step.remedy, engine_lost=True, log=step.log)


__all__ = ["LOADING", "MODEL", "Answer", "Die", "Pause", "Prefill", "ScriptedEngine", "Stall", "Step", "done"]
