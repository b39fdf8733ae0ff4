"""A runtime without a model, in this process or (run as a program) behind the engine's worker.

The question itself is the script: words separated by blanks, each one step.

    think:WORD   say:WORD        one piece of the thought, of the answer
    flood:N                      N pieces of thought, one token each
    sleep:SECONDS                nothing happens
    endless                      pieces of thought until stopped
    stall                        nothing more, deaf to stop
    print:WORD                   a library prints to stdout, from Python and from C
    refuse                       a PromptError
    defect                       a ZeroDivisionError
    suicide                      kill -9
    lost                         the GPU's driver refuses all further work
    watchdog                     macOS ends the work on the GPU
    nomemory                     memory runs out, and the answer ends
    garbage                      text that is not a message goes straight into the pipe
    turns                        says how many turns the conversation had before

`answer_now` skips the pieces of thought that are left, `endless` as a whole; a hint is a piece of thought.
`continue_` says "more"; caches are files with the word "cache".
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from magistral_mlx.engine.protocol import AskRequest, EngineModel, Loading
from magistral_mlx.errors import CheckpointError, PromptError, UsageError
from magistral_mlx.events import (
    AnswerText,
    ContextSegments,
    Ending,
    Event,
    Finished,
    Paused,
    PrefillProgress,
    ReasoningText,
    Reply,
    Stats,
)
from magistral_mlx.generation.reply.steering import Steering
from magistral_mlx.machine.faults import recognise
from magistral_mlx.storage.messages import SavedTurn

MODEL = EngineModel(
    name="scripted",
    path="/scripted",
    is_miniature=True,
    context_length=1000,
    quantization=None,
    vision=False,
    kv_bytes_per_token=100,
    weight_bytes=5000,
)


_FAULTS = {
    "lost": "Ignored (for causing prior GPU errors) (kIOGPUCommandBufferCallbackErrorSubmissionsIgnored)",
    "watchdog": "Impacting Interactivity (kIOGPUCommandBufferCallbackErrorImpactingInteractivity)",
}


class ScriptedRuntime:
    """Has the methods of MagistralRuntime."""

    def __init__(self) -> None:
        self.turns = 0
        self.closed = False
        self.kv_bytes: int | None = None

    def load(self, model: str | None, report: Callable[[Loading], None]) -> EngineModel:
        report(Loading("Reading", 0, 2))
        if model == "missing":
            raise CheckpointError("There is no model 'missing'", "See `magistral models`.")
        if model == "slow":
            time.sleep(3600)
        if model == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        report(Loading("Loading", 1, 2))
        return MODEL

    def stream(self, request: AskRequest) -> "ScriptedStream":
        stream = ScriptedStream(request.text, self.turns)
        self.turns += 1
        self.kv_bytes = 100 * (request.options.kv_bits or 16)
        return stream

    def continue_(self, max_tokens: int | None) -> "ScriptedStream":
        if not self.turns:
            raise UsageError("There is no reply to go on with", "Ask first.")
        return ScriptedStream(f"say:more say:{max_tokens}", self.turns)

    def new_conversation(self) -> None:
        self.turns = self.kv_bytes = 0

    def open_conversation(self, turns: Sequence[SavedTurn], system: str | None) -> None:
        if any(turn.images for turn in turns):
            raise PromptError("No image can be read here", "Leave it out.")
        self.turns = len(turns)

    def save_cache(self, path: str) -> int:
        return Path(path).write_text("cache")

    def load_cache(self, path: str) -> int:
        if Path(path).read_text() != "cache":
            raise UsageError("The file is damaged", "Go on without it.")
        return 5

    def close(self) -> None:
        self.closed = True


class ScriptedStream:
    """Plays one script."""

    def __init__(self, script: str, turns: int) -> None:
        self._turns = turns
        self._steering = Steering()
        self._answer_now = False
        self._ending = Ending.COMPLETE
        self._reasoning: list[str] = []
        self._answer: list[str] = []
        self._events = self._play(script.split())

    def __iter__(self) -> "ScriptedStream":
        return self

    def __next__(self) -> Event:
        return next(self._events)

    def stop(self) -> None:
        self._steering.stop()

    def answer_now(self) -> None:
        self._steering.answer_now()

    def pause(self) -> None:
        self._steering.pause()

    def resume(self, hint: str | None = None) -> None:
        self._steering.resume(hint)

    @property
    def segments(self) -> ContextSegments:
        return ContextSegments(system=4, history=6)

    def _play(self, steps: list[str]) -> Iterator[Event]:
        yield PrefillProgress(0, 10)
        yield PrefillProgress(10, 10)
        for step in steps:
            verb, _, value = step.partition(":")
            for event in self._step(verb, value):
                yield from self._steered(event)
                if self._steering.stopped or (self._answer_now and verb == "endless"):
                    break
            if self._steering.stopped:
                break
        ending = Ending.STOPPED if self._steering.stopped else self._ending
        stats = Stats(
            prompt_tokens=10, reasoning_tokens=len(self._reasoning), answer_tokens=len(self._answer)
        )
        yield Finished(Reply("".join(self._reasoning), "".join(self._answer), ending, stats))

    def _steered(self, event: Event) -> Iterator[Event]:
        if self._steering.paused:
            yield Paused()
            self._steering.wait()
        self._answer_now = self._steering.take_answer_now() or self._answer_now
        for each in (*(ReasoningText(hint, 1) for hint in self._steering.take_hints()), event):
            if isinstance(each, ReasoningText):
                if self._answer_now:
                    continue
                self._reasoning.append(each.text)
            elif isinstance(each, AnswerText):
                self._answer.append(each.text)
            yield each

    def _step(self, verb: str, value: str) -> Iterator[Event]:
        if verb == "think":
            yield ReasoningText(value, 1)
        elif verb == "say":
            yield AnswerText(value, 1)
        elif verb == "turns":
            yield AnswerText(str(self._turns), 1)
        elif verb == "flood":
            for number in range(int(value)):
                yield ReasoningText(f"{number}\n", 1)
        elif verb == "endless":
            while True:
                yield ReasoningText("on and ", 2)
                time.sleep(0.001)
        elif verb == "nomemory":
            self._ending = Ending.OUT_OF_MEMORY
        elif verb == "sleep":
            time.sleep(float(value))
        else:
            _misbehave(verb, value)


def _misbehave(verb: str, value: str) -> None:
    if verb == "stall":
        time.sleep(3600)
    elif verb == "print":
        print(value, flush=True)  # noqa: T201 - as a careless library does
        os.write(1, value.encode())
        os.write(2, value.encode())
    elif verb == "refuse":
        raise PromptError("The question is empty", "Type a question.")
    elif verb == "defect":
        raise ZeroDivisionError("division by zero")
    elif verb in _FAULTS:
        fault = recognise(RuntimeError(_FAULTS[verb]))
        assert fault is not None
        raise fault.error()
    elif verb == "suicide":
        os.kill(os.getpid(), signal.SIGKILL)
    elif verb == "garbage":
        os.write(wire, value.encode() + b"\n")
    else:
        raise AssertionError(f"no such step: {verb}")


wire = 1

if __name__ == "__main__":
    wire = os.dup(1)  # before the worker moves it away
    from magistral_mlx.engine.worker import main

    if "ignore-sigterm" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    main(ScriptedRuntime)
