"""The engine's own side: takes a face's commands, drives a runtime, and emits what happens.

Three parties, so that none waits for another: whoever calls `handle` only leaves a note, one thread works
the commands off in order, one thread reads the gauges. Child process and `LocalEngine` run the same host.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable

from magistral_mlx.engine.gauges import Gauges
from magistral_mlx.engine.port import EngineRuntime, EventStream
from magistral_mlx.engine.protocol import (
    Answer,
    Ask,
    Close,
    Done,
    EngineModel,
    Failed,
    Loading,
    Message,
    NewConversation,
    Prefill,
    Progress,
    Ready,
    Reasoning,
    Start,
    Stop,
)
from magistral_mlx.errors import MagistralError
from magistral_mlx.generation.events import AnswerText, Event, Finished, PrefillProgress, ReasoningText
from magistral_mlx.telemetry import Telemetry

BUSY_INTERVAL = 0.5
"""Seconds between two Progress while an answer runs; they also show that the process is alive."""
IDLE_INTERVAL = 1.0

Emit = Callable[[int, Message], None]

_log = logging.getLogger(__name__)


class Host:
    """Runs one runtime for one face.

    Args:
        runtime: called by the host's own thread only.
        emit: takes (turn, message) from any of the host's threads; must not block.
        telemetry: reads one sample.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        runtime: EngineRuntime,
        emit: Emit,
        *,
        telemetry: Callable[[], Telemetry],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runtime = runtime
        self._emit = emit
        self._telemetry = telemetry
        self._gauges = Gauges(clock)
        self._model: EngineModel | None = None
        self._commands: queue.SimpleQueue[tuple[int, Message]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._answering = 0
        self._stream: EventStream | None = None
        self._stopped: set[int] = set()
        self._closing = threading.Event()
        self._beat_now = threading.Event()
        self._worker = threading.Thread(target=self._work, name="engine", daemon=True)
        self._beat = threading.Thread(target=self._report, name="engine-gauges", daemon=True)

    def begin(self) -> None:
        """Take commands from now on."""
        self._worker.start()
        self._beat.start()

    def handle(self, turn: int, command: Message) -> None:
        """Take a command; returns at once. Stop and Close overtake what waits, others keep their order."""
        if isinstance(command, Stop):
            self._interrupt(turn)
        elif isinstance(command, Close):
            self._closing.set()
            self._beat_now.set()
            self._interrupt(self._answering)
        self._commands.put((turn, command))

    def join(self, seconds: float | None = None) -> bool:
        """After Close: wait until the runtime is freed; False if that takes longer than `seconds`."""
        self._worker.join(seconds)
        return not self._worker.is_alive()

    def _interrupt(self, turn: int) -> None:
        with self._lock:
            self._stopped.add(turn)
            if self._stream is not None and turn == self._answering:
                self._stream.stop()

    def _work(self) -> None:
        while not self._closing.is_set():
            turn, command = self._commands.get()
            try:
                self._carry_out(turn, command)
            except MagistralError as error:
                self._emit(turn, Failed(error.problem, error.remedy))
            except Exception as error:  # noqa: BLE001 - the outermost edge: a defect must reach the face as words
                _log.exception("A defect while working on %s", type(command).__name__)
                problem = f"The engine met an unexpected error ({type(error).__name__}: {error})"
                self._emit(turn, Failed(problem, "Ask again; if it happens again, report it with the log."))
        self._runtime.close()

    def _carry_out(self, turn: int, command: Message) -> None:
        if isinstance(command, Start):
            self._load(turn, command.model)
        elif isinstance(command, Ask):
            self._answer(turn, command)
        elif isinstance(command, NewConversation):
            self._runtime.new_conversation()
            self._gauges.forget()

    def _load(self, turn: int, model: str | None) -> None:
        def report(loading: Loading) -> None:
            self._emit(turn, loading)

        report(Loading("Starting the engine"))  # what comes next, importing MLX, may take seconds
        self._gauges.forget()
        self._model = self._runtime.load(model, report)
        self._emit(turn, Ready(self._model))

    def _answer(self, turn: int, command: Ask) -> None:
        self._gauges.begin()
        stream = self._runtime.stream(command.request)
        with self._lock:
            self._answering, self._stream = turn, stream
            if turn in self._stopped or self._closing.is_set():
                stream.stop()
        self._beat_now.set()
        last: Message | None = None
        try:
            for event in stream:
                last = self._message(event)
                if last is not None:
                    self._emit(turn, last)
        finally:
            with self._lock:
                self._answering, self._stream = 0, None
                self._beat_now.set()
                self._stopped = {each for each in self._stopped if each > turn}
        if not isinstance(last, Done):
            raise RuntimeError("the runtime's stream ended without Finished")

    def _message(self, event: Event) -> Message | None:
        """What the face gets for `event`, with the gauges fed; tool calls come with the reply."""
        match event:
            case PrefillProgress(done, total):
                self._gauges.prompt(total)
                return Prefill(done, total)
            case ReasoningText(text, tokens):
                self._gauges.generated(tokens)
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
        while not self._closing.is_set():
            with self._lock:
                turn = self._answering
            self._emit(turn, self._progress())
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
        )
