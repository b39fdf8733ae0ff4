"""A scripted engine: every answer, delay, error and death is written in the test. Keeps the Engine Protocol.

    engine = ScriptedEngine(turns=[
        [Prefill(0, 9), Reasoning("47 + 38 ...", 5), Pause(0.1), Answer("85", 1), done("85")],
        [Reasoning("Let me", 2), Die()],          # the process dies in mid-thought
        [Reasoning("Let me", 2), Stall()],        # nothing more comes until stop or close
    ])

Turn n answers question n. A script that ends without Done or Failed gets a Done made of its pieces.
`engine.requests`, `engine.started` and `engine.calls` tell what the face did.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field

from magistral_mlx.engine.protocol import (
    Answer,
    AskRequest,
    Done,
    EngineEvent,
    EngineModel,
    Failed,
    Loading,
    Prefill,
    Progress,
    Ready,
    Reasoning,
)
from magistral_mlx.errors import EngineError
from magistral_mlx.generation.events import Ending, Reply, Stats


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
    """Every call in order: "start", "ask", "stop", "new_conversation", "close"."""

    def __post_init__(self) -> None:
        self._running = False
        self._closed = False
        self._asking = False
        self._stop = asyncio.Event()
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
        if self._asking:
            raise EngineError("An answer is still running", "Stop it first.")
        if not self._running:
            yield Failed("The engine is not running", "Start it.", engine_lost=True)
            return
        self.requests.append(request)
        if len(self.requests) > len(self.turns):
            raise AssertionError(f"question {len(self.requests)} has no script")
        self._asking = True
        self._stop.clear()
        try:
            async for event in self._play(self.turns[len(self.requests) - 1]):
                yield event
        finally:
            self._asking = False

    async def watch(self) -> AsyncIterator[Progress | Failed]:
        while True:
            yield await self._between.get()

    async def stop(self) -> None:
        self.calls.append("stop")
        self._stop.set()

    async def new_conversation(self) -> None:
        self.calls.append("new_conversation")
        self._stop.set()

    async def close(self) -> None:
        self.calls.append("close")
        if not self._closed:
            self._closed = True
            self._running = False
            self._stop.set()

    def idle(self, progress: Progress) -> None:
        """Report `progress` to the watcher, as between questions."""
        self._between.put_nowait(progress)

    def die(self, step: Die | None = None) -> None:
        """End the engine between questions."""
        self._between.put_nowait(self._die(step or Die()))

    async def _play(self, steps: Sequence[Step]) -> AsyncIterator[EngineEvent]:
        reasoning = answer = ""
        for step in steps:
            if self._stop.is_set():
                break
            if isinstance(step, Pause | Stall):
                await self._pause(step.seconds if isinstance(step, Pause) else None)
                continue
            if isinstance(step, Die):
                yield self._die(step)
                return
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
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    def _die(self, step: Die) -> Failed:
        self._running = False
        return Failed(step.problem, step.remedy, engine_lost=True, log=step.log)


__all__ = ["LOADING", "MODEL", "Answer", "Die", "Pause", "Prefill", "ScriptedEngine", "Stall", "Step", "done"]
