"""The app without a screen: loading, turns, the queue, failures. No Textual here.

    loading ──Ready──▶ ready ──submit──▶ reading ─▶ thinking ─▶ answering ──Done──▶ ready | stopped
       │                                    └─────────┴─ paused ─┘
       └──────────Failed──────────▶ failed ◀──────────Failed──────────┘

The controller reads the engine's events into plain attributes and calls `on_change`; a screen draws them when
its own clock says so. Every string from the engine is sanitized here; the record on disk (`recorder.py`)
holds the engine's own words. `branching.py` changes the list of turns; `verbs.py` serves the commands.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

from magistral_mlx.engine.protocol import (
    Answer,
    Done,
    Engine,
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
from magistral_mlx.events import Ending
from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.sessions.library import Library
from magistral_mlx.sessions.session import Session
from magistral_mlx_tui.conversation.kv_caches import Caches
from magistral_mlx_tui.conversation.recorder import Recorder
from magistral_mlx_tui.conversation.state import Failure as Failure
from magistral_mlx_tui.conversation.state import Phase as Phase
from magistral_mlx_tui.conversation.state import defect
from magistral_mlx_tui.conversation.tasks import Tasks
from magistral_mlx_tui.conversation.turns import Question, Turn, request_of

_SPEEDS_KEPT = 240
"""Samples of tokens per second for the sparkline, two a second."""


class Controller:
    """One conversation with one engine, for one screen, on one event loop.

    Args:
        engine: produces the answers.
        model: name or folder of the model; None: the engine chooses.
        on_change: called after every change, as often as events come; it must be quick.
        clock: seconds that only grow.
        library: the kept conversations; None: this user's.
        system: the user's own system prompt, for all questions.
        keep_caches: keep the KV caches of long conversations on disk.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        model: str | None = None,
        on_change: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        library: Library | None = None,
        system: str | None = None,
        keep_caches: bool = False,
    ) -> None:
        self.on_change = on_change
        self.phase = Phase.LOADING
        self.model: EngineModel | None = None
        self.loading = Loading("Starting the engine")
        self.turns: list[Turn] = []
        self.arrangement = 0
        """Grows whenever `turns` changes other than by growing: a screen then draws everything again."""
        self.queue: deque[Question] = deque()
        self.progress = Progress()
        self.prefill: Prefill | None = None
        self.speeds: deque[float] = deque(maxlen=_SPEEDS_KEPT)
        self.failure: Failure | None = None
        self.stopping = False
        self.arranging = False
        """The engine is being given other turns; questions wait for it."""
        self.recorder = Recorder(library or Library(), on_change=lambda: self.on_change())
        self.system = system
        self._engine = engine
        self._caches = Caches(engine, self.recorder.library.caches) if keep_caches else None
        self._cache_is_wanted = False
        self._model = model
        self._clock = clock
        self._in_step = True
        self._resumed_phase = Phase.READING
        self._pausing = False
        self._next_hint: str | None = None  # given before the engine has paused
        self._tasks = Tasks(self._defect)
        self._work: asyncio.Task[None] | None = None

    @property
    def turn(self) -> Turn | None:
        """The running or last turn."""
        return self.turns[-1] if self.turns else None

    # -- people -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Load the model and watch the engine; call once."""
        self._tasks.spawn(self._watch)
        self._work = self._tasks.spawn(self._load)

    def submit(self, question: Question) -> bool:
        """Ask, now or as soon as possible; returns whether the question waits."""
        self.queue.append(question)
        waits = not self._can_ask()
        self._ask_next()
        self.on_change()
        return waits

    def withdraw(self) -> list[Question]:
        """Take back the waiting questions."""
        waiting = list(self.queue)
        self.queue.clear()
        return waiting

    def stop(self) -> list[Question]:
        """Stop the running answer and keep it; returns the waiting questions, which are not asked."""
        waiting = self.withdraw()
        if self.phase.busy and not self.stopping:
            self.stopping = True
            self._tasks.spawn(self._engine.stop)
        self.on_change()
        return waiting

    def answer_now(self) -> bool:
        """End the running reasoning and start the answer; returns whether it was thinking."""
        thinking = self._doing() is Phase.THINKING
        if thinking:
            self._tasks.spawn(self._engine.answer_now)
        return thinking

    def pause(self) -> bool:
        """Pause until `resume` or `stop`; returns whether an answer was running."""
        can = self.phase.busy and self.phase is not Phase.PAUSED and not self.stopping
        if can:
            self._pausing = True
            self._tasks.spawn(self._engine.pause)
        return can

    def resume(self, hint: str = "") -> bool:
        """Resume after a present or coming pause, with a hint; returns whether there is a pause."""
        paused = self.phase is Phase.PAUSED
        if self._pausing and self.phase.busy and not paused:
            self._next_hint, paused = hint, True
        elif paused:
            self.phase = self._resumed_phase
            self._tasks.spawn(lambda: self._engine.resume(hint or None))
            self.on_change()
        return paused

    def go_on(self) -> bool:
        """Continue the last reply after it was cut off or stopped; returns whether it can be."""
        turn = self.turn
        if turn is None or not turn.can_go_on or self.queue or not self._can_ask():
            return False
        turn.reopen()
        self.arrangement += 1
        self._begin(Phase.ANSWERING if turn.answer_tokens else Phase.THINKING)
        so_far = [*self.turns]
        self._work = self._tasks.spawn(lambda: self._answer(turn, self._engine.continue_, after=so_far))
        self.on_change()
        return True

    def restart(self) -> None:
        """Restart the engine and reload the conversation."""
        if self.phase is Phase.LOADING:
            return
        self.phase = Phase.LOADING
        self.loading = Loading("Restarting the engine")
        self.failure = None
        self.stopping = False
        work = self._work
        self._work = self._tasks.spawn(lambda: self._load_after(work))
        self.on_change()

    def switch_model(self, model: str) -> None:
        """Restart the engine with another model and reload the conversation."""
        self._model = model
        self.restart()

    def dismiss_failure(self) -> None:
        """Clear a failure that the engine survived."""
        if self.failure and not self.failure.engine_lost:
            self.failure = None
            self.phase = Phase.READY
            self.on_change()

    def arrange(self, turns: Sequence[Turn], *, session: Session | None = None) -> None:
        """Make `turns` the conversation, for the screen and for the engine.

        A running answer is stopped and kept; new questions wait. `session` is the kept conversation of the
        turns, if it is another one.
        """
        keep = session is not None and self._can_keep_cache()
        self.queue.clear()
        self.turns = list(turns)
        self.arrangement += 1
        self.prefill = None
        self._in_step = False
        engine_runs = self._work is not None and not (self.failure and self.failure.engine_lost)
        if not engine_runs:  # it is given the turns when it starts
            if session is not None:
                self.recorder.adopt(session)
        else:
            self.failure = None
            self.arranging = True
            work = self._work
            self._work = self._tasks.spawn(lambda: self._arrange_after(work, session, keep=keep))
        self.on_change()

    async def close(self) -> None:
        """Close the engine and end all work; the conversation is on disk then."""
        if self._can_keep_cache() and self.phase in (Phase.READY, Phase.STOPPED):
            await self._keep_cache()
        await self._engine.close()
        await self._tasks.cancel()
        self.recorder.close()

    # -- the engine -------------------------------------------------------------------------------------

    async def _load_after(self, work: asyncio.Task[None] | None) -> None:
        if work is not None and not work.done():
            await self._engine.close()
            await asyncio.wait([work])
        await self._load()

    async def _load(self) -> None:
        self.phase, self.failure = Phase.LOADING, None
        self._cache_is_wanted = True
        async for event in self._engine.start(self._model):
            match event:
                case Loading():
                    self.loading = Loading(sanitize_line(event.stage), event.done, event.total)
                case Ready():
                    self.model = event.model
                    await self._loaded()
                case Failed():
                    self._fail(event)
            self.on_change()

    async def _loaded(self) -> None:
        if self.arranging:  # the waiting work gives the engine its turns
            self.phase = Phase.READY
            return
        self._in_step = not self.turns
        if failed := await self._catch_up(self.turns):
            self._fail(failed)
        else:
            self.phase = Phase.READY
            self._ask_next()

    async def _catch_up(self, turns: Sequence[Turn]) -> Failed | None:
        """Give the engine the shown conversation; returns the failure, if any."""
        if self._in_step:
            return None
        failed = None
        if saved := self.recorder.saved(turns):
            failed = await self._engine.open_conversation(saved, system=self.system)
        else:
            await self._engine.new_conversation()
        self._in_step = failed is None
        if saved and failed is None and self._cache_is_wanted and self._caches:
            await self._caches.bring_back(self.recorder.session.id)
        self._cache_is_wanted = False
        return failed

    def _can_keep_cache(self) -> bool:
        return bool(self.turns) and self._in_step and not self.failure

    async def _keep_cache(self) -> None:
        if self._caches and self.model:
            used = self.progress.context_used
            await self._caches.keep(self.recorder.session.id, tokens=used, model=self.model)

    async def _arrange_after(
        self, work: asyncio.Task[None] | None, session: Session | None, *, keep: bool
    ) -> None:
        try:
            if self.phase.busy:
                await self._engine.stop()
            if work is not None:
                await asyncio.wait([work])
            if session is not None:
                if keep and not self.failure:
                    await self._keep_cache()
                self.recorder.adopt(session)
                self._cache_is_wanted = True
            if not self.failure:
                if failed := await self._catch_up(self.turns):
                    self._fail(failed)
                else:
                    self.phase = Phase.READY
        finally:
            self.arranging = self.stopping = False
        self._ask_next()
        self.on_change()

    def _can_ask(self) -> bool:
        settled = self.phase in (Phase.READY, Phase.STOPPED, Phase.FAILED)
        return settled and not self.arranging and not (self.failure and self.failure.engine_lost)

    def _ask_next(self) -> None:
        if self.queue and self._can_ask():
            question = self.queue.popleft()
            turn, before = Turn(question, clock=self._clock), self.turn
            name = self.model.name if self.model else ""
            self.recorder.ask(turn, after=before, model=name, system=self.system)
            self.turns.append(turn)
            turn.sibling = self.recorder.place(turn)
            self._begin(Phase.READING)
            request = request_of(question, system=self.system)
            events, earlier = partial(self._engine.ask, request), self.turns[:-1]
            self._work = self._tasks.spawn(lambda: self._answer(turn, events, after=earlier))

    def _begin(self, phase: Phase) -> None:
        self.failure, self.prefill, self.stopping = None, None, False
        self._pausing, self._next_hint = False, None
        self.phase = phase
        self.speeds.clear()

    def _doing(self) -> Phase:
        """The phase; during a pause, the phase before it."""
        return self._resumed_phase if self.phase is Phase.PAUSED else self.phase

    async def _answer(
        self, turn: Turn, events: Callable[[], AsyncIterator[EngineEvent]], *, after: Sequence[Turn]
    ) -> None:
        if failed := await self._catch_up(after):
            self._take(turn, failed)
        else:
            async for event in events():
                self._take(turn, event)
                self.on_change()
        self.stopping = False
        self._ask_next()
        self.on_change()
        await asyncio.to_thread(self.recorder.sync)

    def _take(self, turn: Turn, event: EngineEvent) -> None:
        match event:
            case Prefill():
                self.prefill = event
                turn.add_reading(event.done)
            case Reasoning():
                turn.add_reasoning(event.text, event.tokens)
                self.recorder.add(turn, reasoning=event.text, reasoning_tokens=event.tokens)
                self.phase = Phase.THINKING
            case Answer():
                turn.add_answer(event.text, event.tokens)
                self.recorder.add(turn, answer=event.text, answer_tokens=event.tokens)
                self.phase = Phase.ANSWERING
            case Progress():
                self._measure(event)
            case Paused():
                self._resumed_phase, self.phase = self._doing(), Phase.PAUSED
                hint, self._pausing, self._next_hint = self._next_hint, False, None
                if hint is not None:
                    self.resume(hint)
            case Done():
                turn.finish(event.reply)
                self.recorder.end(turn, event.reply)
                self.prefill = None
                self.phase = Phase.STOPPED if event.reply.ending is Ending.STOPPED else Phase.READY
            case Failed():
                turn.fail()
                self.recorder.flush()
                self._in_step = False  # it may or may not know what it said of this turn
                self._fail(event)

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
        self.prefill = None
        self.failure = Failure.of(event)
        self.phase = Phase.FAILED
        self.stopping = False

    def _defect(self, error: Exception) -> None:
        """Show an unexpected error of the background work; the app lives on."""
        self._fail(defect(error))
        if self.turn is not None and self.turn.running:
            self.turn.fail()
        self.on_change()
