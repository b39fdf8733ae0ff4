"""What the app knows and does, without a screen: loading, turns, the queue, failures. No Textual here.

    loading ──Ready──▶ ready ──submit──▶ reading ─▶ thinking ─▶ answering ──Done──▶ ready | stopped
       └──────────Failed──────────▶ failed ◀──────────Failed──────────┘

The controller reads the engine's events into plain attributes and calls `on_change`; a screen draws them when
its own clock says so. Every string that comes from the engine is made harmless here.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from magistral_mlx.engine.protocol import (
    Answer,
    AskRequest,
    Done,
    Engine,
    EngineModel,
    Failed,
    Loading,
    Paused,
    Prefill,
    Progress,
    Ready,
    Reasoning,
)
from magistral_mlx.errors import MagistralError
from magistral_mlx.generation.events import Ending
from magistral_mlx.sanitize import sanitize, sanitize_line
from magistral_mlx_tui.turns import Question, Turn

logger = logging.getLogger(__name__)

_SPEEDS_KEPT = 240
"""Samples of tokens per second for the sparkline, two a second."""


class Phase(StrEnum):
    """What is going on; the value is the word that people see."""

    LOADING = "loading"
    READY = "ready"
    READING = "reading"
    THINKING = "thinking"
    ANSWERING = "answering"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def busy(self) -> bool:
        """Whether an answer is being made."""
        return self in (Phase.READING, Phase.THINKING, Phase.ANSWERING)


@dataclass(frozen=True)
class Failure:
    """What broke, what to do, and where to read more; harmless text."""

    problem: str
    remedy: str = ""
    log: str | None = None
    engine_lost: bool = False


class Controller:
    """One conversation with one engine, for one screen, on one event loop.

    Args:
        engine: what answers.
        model: name or folder of the model; None: the engine chooses.
        on_change: called after every change, as often as events come; it must be quick.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        model: str | None = None,
        on_change: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.on_change = on_change
        self.phase = Phase.LOADING
        self.model: EngineModel | None = None
        self.loading = Loading("Starting the engine")
        self.turns: list[Turn] = []
        self.queue: deque[Question] = deque()
        self.progress = Progress()
        self.prefill: Prefill | None = None
        self.speeds: deque[float] = deque(maxlen=_SPEEDS_KEPT)
        self.failure: Failure | None = None
        self.stopping = False
        self._engine = engine
        self._model = model
        self._clock = clock
        self._note = ""
        self._clearing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._work: asyncio.Task[None] | None = None

    @property
    def turn(self) -> Turn | None:
        """The running or last turn."""
        return self.turns[-1] if self.turns else None

    # -- what people do ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Load the model and watch the engine; call once."""
        self._spawn(self._watch)
        self._work = self._spawn(self._load)

    def submit(self, question: Question) -> bool:
        """Ask, now or as soon as possible; returns whether it has to wait."""
        self.queue.append(question)
        waits = not self._can_ask()
        self._ask_next()
        self.on_change()
        return waits

    def stop(self) -> list[Question]:
        """End the running answer, keeping what it has; returns the waiting questions, which are not asked."""
        waiting = list(self.queue)
        self.queue.clear()
        if self.phase.busy and not self.stopping:
            self.stopping = True
            self._spawn(self._engine.stop)
        self.on_change()
        return waiting

    def new_conversation(self) -> None:
        """Forget all turns; a running answer is stopped."""
        self.queue.clear()
        self.turns = []
        self.prefill = None
        self._note = ""
        if not (self.failure and self.failure.engine_lost):
            self.failure = None
            self._clearing = True
            work = self._work
            self._work = self._spawn(lambda: self._begin_anew(work))
        self.on_change()

    def restart(self) -> None:
        """Start the engine again, after a death or at will; the turns stay on the screen."""
        if self.phase is Phase.LOADING:
            return
        self.phase = Phase.LOADING
        self.loading = Loading("Starting the engine again")
        self.failure = None
        self.stopping = False
        if self.turns:
            self._note = "The engine was started again: it does not remember what stands above."
        work = self._work
        self._work = self._spawn(lambda: self._load_after(work))
        self.on_change()

    def dismiss_failure(self) -> None:
        """The failure was read."""
        if self.failure and not self.failure.engine_lost:
            self.failure = None
            self.phase = Phase.READY
            self.on_change()

    async def close(self) -> None:
        """End the engine and everything that waits for it."""
        await self._engine.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- what the engine does ----------------------------------------------------------------------------

    async def _load_after(self, work: asyncio.Task[None] | None) -> None:
        if work is not None and not work.done():
            await self._engine.close()
            await asyncio.wait([work])
        await self._load()

    async def _load(self) -> None:
        self.phase, self.failure = Phase.LOADING, None
        async for event in self._engine.start(self._model):
            match event:
                case Loading():
                    self.loading = Loading(sanitize_line(event.stage), event.done, event.total)
                case Ready():
                    self.model = event.model
                    self.phase = Phase.READY
                    self._ask_next()
                case Failed():
                    self._fail(event)
            self.on_change()

    async def _begin_anew(self, work: asyncio.Task[None] | None) -> None:
        """Questions that come meanwhile wait until the engine has forgotten the old ones."""
        try:
            if self.phase.busy:
                await self._engine.stop()
            if work is not None:
                await asyncio.wait([work])
            if not self.failure:
                await self._engine.new_conversation()
                self.phase = Phase.READY
        finally:
            self._clearing = self.stopping = False
        self._ask_next()
        self.on_change()

    def _can_ask(self) -> bool:
        settled = self.phase in (Phase.READY, Phase.STOPPED, Phase.FAILED)
        return settled and not self._clearing and not (self.failure and self.failure.engine_lost)

    def _ask_next(self) -> None:
        if self.queue and self._can_ask():
            question = self.queue.popleft()
            turn = Turn(question, note=self._note, clock=self._clock)
            self._note = ""
            self.turns.append(turn)
            self.failure, self.prefill, self.stopping = None, None, False
            self.phase = Phase.READING
            self.speeds.clear()
            self._work = self._spawn(lambda: self._answer(turn))

    async def _answer(self, turn: Turn) -> None:
        request = AskRequest(turn.question.text, images=turn.question.paths)
        async for event in self._engine.ask(request):
            match event:
                case Prefill():
                    self.prefill = event
                    turn.add_reading(event.done)
                case Reasoning():
                    turn.add_reasoning(event.text, event.tokens)
                    self.phase = Phase.THINKING
                case Answer():
                    turn.add_answer(event.text, event.tokens)
                    self.phase = Phase.ANSWERING
                case Progress():
                    self._measure(event)
                case Paused():
                    pass
                case Done():
                    turn.finish(event.reply)
                    self.prefill = None
                    self.phase = Phase.STOPPED if event.reply.ending is Ending.STOPPED else Phase.READY
                case Failed():
                    turn.fail()
                    self._fail(event)
            self.on_change()
        self.stopping = False
        self._ask_next()
        self.on_change()

    async def _watch(self) -> None:
        async for event in self._engine.watch():
            match event:
                case Progress():
                    self._measure(event)
                case Failed():
                    self._fail(event)
            self.on_change()

    def _measure(self, progress: Progress) -> None:
        self.progress = progress
        if progress.tokens_per_second is not None:
            self.speeds.append(progress.tokens_per_second)

    def _fail(self, event: Failed) -> None:
        log = sanitize_line(event.log) if event.log else None
        self.prefill = None
        self.failure = Failure(sanitize(event.problem), sanitize(event.remedy), log, event.engine_lost)
        self.phase = Phase.FAILED
        self.stopping = False

    def _spawn(self, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guard(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guard(self, work: Callable[[], Awaitable[None]]) -> None:
        """The outermost edge of everything done in the background: a failure is shown, the app lives on."""
        try:
            await work()
        except MagistralError as error:
            self._fail(Failed(error.problem, error.remedy))
        except Exception as error:
            logger.exception("background work failed")
            self._fail(
                Failed(f"The app made a mistake: {type(error).__name__}: {error}", "Restart the engine.")
            )
        else:
            return
        if self.turn is not None and self.turn.running:
            self.turn.fail()
        self.on_change()
