"""The engine's own side: carries out the commands of a user interface on a runtime, and emits messages.

No thread waits for another: callers of `handle` only queue a command, one thread carries the commands out in
order, one reads the gauges. Child process and `LocalEngine` run the same host.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from magistral_mlx import events
from magistral_mlx.engine.adapter import MagistralRuntime
from magistral_mlx.engine.gauges import Gauges
from magistral_mlx.engine.protocol import (
    Answer,
    AnswerNow,
    Ask,
    CacheDone,
    Close,
    Continue,
    Done,
    EngineModel,
    Failed,
    LoadCache,
    Loading,
    Message,
    NewConversation,
    OpenConversation,
    Opened,
    Pause,
    Paused,
    Prefill,
    Progress,
    Ready,
    Reasoning,
    Resume,
    SaveCache,
    Start,
    Stop,
)
from magistral_mlx.errors import DeviceLostError, MagistralError
from magistral_mlx.events import AnswerText, Event, Finished, PrefillProgress, ReasoningText
from magistral_mlx.machine.defects import describe
from magistral_mlx.machine.telemetry import Telemetry

if TYPE_CHECKING:
    from magistral_mlx.api.stream import AnswerStream

BUSY_INTERVAL = 0.5
"""Seconds between two Progress while an answer runs; they also prove that the process is alive."""
IDLE_INTERVAL = 1.0
STALL_SECONDS = 600.0
"""Seconds without an event after which a running answer counts as hung. The longest regular silence is one
large image or one prefill chunk on a slow machine; a GPU that hangs is silent forever."""

Emit = Callable[[int, Message], None]
Abandon = Callable[[Failed], None]

_log = logging.getLogger(__name__)


class Host:
    """Run one runtime for one user interface.

    Args:
        runtime: called by the host's own thread only.
        emit: takes (turn, message) from any of the host's threads; must not block.
        telemetry: takes one sample.
        clock: monotonic seconds.
        abandon: called once the process is unusable, from any of the host's threads, after the user interface
            was told; a child process ends then.
        awake: held while an answer runs; keeps the machine awake.
    """

    def __init__(
        self,
        runtime: MagistralRuntime,
        emit: Emit,
        *,
        telemetry: Callable[[], Telemetry],
        clock: Callable[[], float] = time.monotonic,
        abandon: Abandon = lambda failed: None,
        awake: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._runtime = runtime
        self._emit = emit
        self._telemetry = telemetry
        self._clock = clock
        self._abandon = abandon
        self._awake = awake
        self._kv_bytes: int | None = None
        self._kv_read_at = 0.0
        self._last_event = 0.0
        self._waits = False  # paused: no event is expected
        self._gauges = Gauges(clock)
        self._model: EngineModel | None = None
        self._commands: queue.SimpleQueue[tuple[int, Message]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._answering = 0
        self._stream: AnswerStream | None = None
        self._early: list[tuple[int, Message]] = []  # steering commands of an answer that has not begun
        self._closing = threading.Event()
        self._beat_now = threading.Event()
        self._worker = threading.Thread(target=self._work, name="engine", daemon=True)
        self._beat = threading.Thread(target=self._report, name="engine-gauges", daemon=True)

    def begin(self) -> None:
        """Take commands from now on."""
        self._worker.start()
        self._beat.start()

    def handle(self, turn: int, command: Message) -> None:
        """Take a command; return at once. Steering commands take effect immediately, the others queue."""
        if isinstance(command, Stop | AnswerNow | Pause | Resume):
            self._steer(turn, command)
            return
        if isinstance(command, Close):
            self._closing.set()
            self._beat_now.set()
            self._steer(self._answering, Stop())
        self._commands.put((turn, command))

    def join(self, seconds: float | None = None) -> bool:
        """Wait, after Close, until the runtime is freed; False if that takes longer than `seconds`."""
        self._worker.join(seconds)
        return not self._worker.is_alive()

    def _steer(self, turn: int, command: Message) -> None:
        with self._lock:
            if isinstance(command, Resume | Stop):
                self._note_event()
            if self._stream is None or turn != self._answering:
                self._early.append((turn, command))
            else:
                _apply(command, self._stream)

    def _work(self) -> None:
        while not self._closing.is_set():
            turn, command = self._commands.get()
            try:
                self._carry_out(turn, command)
                self._read_kv_bytes()
            except DeviceLostError as error:
                self._give_up(turn, Failed(error.problem, error.remedy, engine_lost=True))
            except MagistralError as error:
                self._emit(turn, Failed(error.problem, error.remedy))
            except BaseException as error:  # noqa: BLE001 - the outermost edge: also a Rust panic and a library's exit
                _log.error("A defect while working on %s\n%s", type(command).__name__, describe(error))
                problem = f"The engine met an unexpected error ({type(error).__name__}: {error})"
                self._emit(turn, Failed(problem, "Ask again; if it happens again, report it with the log."))
        self._runtime.close()

    def _give_up(self, turn: int, failed: Failed) -> None:
        """Tell that this process is unusable, and abandon it."""
        _log.error("%s", failed.problem)
        self._emit(turn, failed)
        self._abandon(failed)

    def _carry_out(self, turn: int, command: Message) -> None:
        if isinstance(command, Start):
            self._load(turn, command.model)
        elif isinstance(command, Ask):
            self._answer(turn, lambda: self._runtime.stream(command.request))
        elif isinstance(command, Continue):
            self._answer(turn, lambda: self._runtime.continue_(command.max_tokens))
        elif isinstance(command, NewConversation):
            self._runtime.new_conversation()
            self._gauges.forget()
        elif isinstance(command, OpenConversation):
            self._runtime.open_conversation(command.turns, command.system)
            self._gauges.forget()
            self._emit(turn, Opened())
        elif isinstance(command, SaveCache):
            self._emit(turn, CacheDone(self._runtime.save_cache(command.path)))
        elif isinstance(command, LoadCache):
            self._emit(turn, CacheDone(self._runtime.load_cache(command.path)))

    def _load(self, turn: int, model: str | None) -> None:
        def report(loading: Loading) -> None:
            self._emit(turn, loading)

        report(Loading("Starting the engine"))  # importing MLX, the next step, may take seconds
        self._gauges.forget()
        self._model = self._runtime.load(model, report)
        self._emit(turn, Ready(self._model))

    def _answer(self, turn: int, begin: "Callable[[], AnswerStream]") -> None:
        with self._awake():
            self._follow(turn, begin)

    def _follow(self, turn: int, begin: "Callable[[], AnswerStream]") -> None:
        self._gauges.begin()
        stream = begin()
        self._note_event()
        with self._lock:
            self._answering, self._stream = turn, stream
            for each, command in self._early:
                if each == turn:
                    _apply(command, stream)
            if self._closing.is_set():
                stream.stop()
        self._beat_now.set()
        last: Message | None = None
        try:
            for event in stream:
                self._note_event(waits=isinstance(event, events.Paused))
                last = self._message(event, stream)
                if self._clock() - self._kv_read_at >= BUSY_INTERVAL:
                    self._read_kv_bytes()
                if last is not None:
                    self._emit(turn, last)
        finally:
            with self._lock:
                self._answering, self._stream = 0, None
                self._beat_now.set()
                self._early = [early for early in self._early if early[0] > turn]
        if not isinstance(last, Done):
            raise RuntimeError("the runtime's stream ended without Finished")

    def _note_event(self, *, waits: bool = False) -> None:
        self._last_event, self._waits = self._clock(), waits

    def _read_kv_bytes(self) -> None:
        """Read it between two events, while the runtime rests; the gauges' thread shows it later."""
        self._kv_bytes, self._kv_read_at = self._runtime.kv_bytes, self._clock()

    def _message(self, event: Event, stream: "AnswerStream") -> Message | None:
        """Feed the gauges; return the message for `event`. Tool calls come with the reply."""
        match event:
            case PrefillProgress(done, total):
                self._gauges.prompt(total, stream.segments)
                return Prefill(done, total)
            case events.Paused():
                return Paused()
            case ReasoningText(text, tokens):
                self._gauges.generated(tokens, reasoning=True)
                return Reasoning(text, tokens)
            case AnswerText(text, tokens):
                self._gauges.generated(tokens)
                return Answer(text, tokens)
            case Finished(reply):
                self._gauges.end(reply.stats)
                return Done(reply)
            case _:
                return None

    def _report(self) -> None:
        try:
            self._beat_until_closed()
        except BaseException as error:  # noqa: BLE001 - the outermost edge: without a heartbeat the engine is lost
            _log.error("A defect in the gauges\n%s", describe(error))
            problem = f"The engine's gauges failed ({type(error).__name__}: {error})"
            self._give_up(self._answering, Failed(problem, "Start it again and ask again.", engine_lost=True))

    def _beat_until_closed(self) -> None:
        while not self._closing.is_set():
            with self._lock:
                turn = self._answering
            self._emit(turn, self._progress())
            if turn and not self._waits and self._clock() - self._last_event > STALL_SECONDS:
                problem = f"The answer stood still for {STALL_SECONDS:.0f} seconds, so the engine was ended"
                self._give_up(turn, Failed(problem, "Start it again and ask again.", engine_lost=True))
                return
            self._beat_now.wait(BUSY_INTERVAL if turn else IDLE_INTERVAL)
            self._beat_now.clear()

    def _progress(self) -> Progress:
        speeds = self._gauges.read()
        return Progress(
            telemetry=self._telemetry(),
            tokens_per_second=speeds.tokens_per_second,
            average=speeds.average,
            time_to_first_token=speeds.time_to_first_token,
            context_used=speeds.context_used,
            context_length=self._model.context_length if self._model else None,
            kv_bytes=self._kv_bytes,
            segments=speeds.segments,
        )


def _apply(command: Message, stream: "AnswerStream") -> None:
    if isinstance(command, Stop):
        stream.stop()
    elif isinstance(command, AnswerNow):
        stream.answer_now()
    elif isinstance(command, Pause):
        stream.pause()
    elif isinstance(command, Resume):
        stream.resume(command.hint)
