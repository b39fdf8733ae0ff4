"""A reply as it comes: an iterator of events that any thread can stop. The owner thread does the work."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from magistral_mlx.api.checks import check_callback
from magistral_mlx.api.owner_thread import owner_thread
from magistral_mlx.api.request import Question
from magistral_mlx.events import ContextSegments, Event, Finished, Paused, PrefillProgress, Reply
from magistral_mlx.generation.reply.steering import Steering

if TYPE_CHECKING:
    from magistral_mlx.generation.answering import Answering
    from magistral_mlx.generation.cache.prompt_cache import PromptCache

_PULL_SECONDS = 0.01
"""Seconds that one pull collects text, to avoid a change of threads for every token."""


class AnswerStream(Iterator[Event]):
    """The events of one reply; the last one is `Finished`.

    Work is done on demand: nothing is computed beyond the events that are read. A stream that is dropped or
    closed half-way ends its reply there, and a conversation keeps what there is.

        with model.stream("...") as stream:
            for event in stream:
                ...
    """

    _over = True
    """Until `__init__` has run to its end, which Ctrl-C may prevent, there is nothing to leave."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._owner = owner_thread()
        self._steering = Steering()
        self._ready: deque[Event] = deque()
        self._asked_at = time.perf_counter()
        self._answering: Answering | None = None
        self._cache: PromptCache | None = None
        self._events: Generator[Event, None, None] | None = None
        self._reply: Reply | None = None
        self._rests = False
        self.segments: ContextSegments | None = None
        """The parts of the prompt in tokens; None until the first event."""
        self._over = False

    def __iter__(self) -> "AnswerStream":
        return self

    def __next__(self) -> Event:
        """The next event, as soon as there is one.

        Raises:
            PromptError: on the first call: the question is impossible or too long (ContextOverflow).
            UsageError: on the first call: the conversation is still answering another one.
        """
        while True:
            if self._ready:
                event = self._ready.popleft()
                self._rests = isinstance(event, Paused)
                return event
            if self._over:
                raise StopIteration
            if self._rests:
                self._steering.wait()
            self._owner.call(self._pull, on_interrupt=self._interrupted)

    def __enter__(self) -> "AnswerStream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not self._over:
            self._steering.stop()
            self._owner.post(self.end_here)

    @property
    def begun(self) -> bool:
        """Whether reading has begun. Until then the question waits behind others."""
        return self._answering is not None

    def stop(self) -> None:
        """End the reply at the next token or layer of a prefill, from any thread; return at once.

        The stream then gives the remaining events and `Finished` with `Ending.STOPPED`.
        """
        self._steering.stop()

    def answer_now(self) -> None:
        """Close the running thought, from any thread; the answer follows. Return at once.

        During prefill, the thought is closed as soon as it opens. During the answer, nothing happens. A
        paused stream goes on.
        """
        self._steering.answer_now()

    def pause(self) -> None:
        """Pause at the next token or prefill chunk, from any thread; return at once.

        The stream then gives `Paused`. More events come after `resume`, `answer_now` or `stop`. Other streams
        and conversations go on.
        """
        self._steering.pause()

    def resume(self, hint: str | None = None) -> None:
        """Go on after `pause`, from any thread; return at once.

        Args:
            hint: a paragraph that is written into the open thought and steers it from there. Text that spells
                a control token stays text. It counts as thought. Once the answer has begun, it is left out.
        """
        self._steering.resume(hint)

    def close(self) -> None:
        """End the reply here; the stream gives nothing more. May be called more than once."""
        self._steering.stop()
        if not self._over:
            self._owner.call(self.end_here)
        self._ready.clear()

    def end_here(self) -> None:
        """On the owner thread: end a reply that nobody reads any more, or whose model is closed."""
        if self._over:
            return
        if self._answering is None or self._events is None:
            self._over = True
            return
        self._events.close()
        self._end(self._answering.leave())

    def reply(self, on_event: Callable[[Event], None] | None = None) -> Reply:
        """Run to the end and return the reply.

        `on_event` is called with each event on the calling thread. If it raises, the reply ends there and the
        exception is raised. A stream that was closed half-way returns what there was, as stopped.

        Raises:
            PromptError, UsageError: as on the first call of `next`.
            RuntimeError: the stream failed before, or was closed before it began.
        """
        check_callback("on_event", on_event)
        if on_event is not None:
            with self:
                for event in self:
                    on_event(event)
        while not self._over:
            self._steering.wait()
            self._owner.call(self._run_to_the_end, on_interrupt=self._interrupted)
        if self._reply is None:
            raise RuntimeError("the stream ended without a reply")
        return self._reply

    def _interrupted(self) -> bool:
        """Stop; tell whether that is news."""
        news = not self._steering.stopped
        self._steering.stop()
        return news

    def _pull(self) -> None:
        """On the owner thread: go on until there is something to read, or to the end once stopped."""
        deadline = time.perf_counter() + _PULL_SECONDS
        while not self._over:
            event = self._advance()
            self._ready.append(event)
            if self._steering.stopped:  # an interrupted reader does not come back
                continue
            # After progress comes a chunk, which takes long.
            if isinstance(event, PrefillProgress | Paused) or time.perf_counter() > deadline:
                return

    def _run_to_the_end(self) -> None:
        while not self._over and not self._steering.paused:
            self._advance()

    def _advance(self) -> Event:
        try:
            if self._events is None:
                steering, owner = self._steering, self._owner  # not self: no cycle, so a dropped stream ends
                self._answering, self._cache = self._question.begin(
                    stopping=lambda: steering.stopped or owner.closing,
                    steering=steering,
                    asked_at=self._asked_at,
                )
                self._question.history.model().running.add(self)
                self.segments = self._answering.segments
                self._events = self._answering.events()
            event = next(self._events)
        except BaseException:
            self._end(None)
            raise
        if isinstance(event, Finished):
            self._end(event.reply)
        return event

    def _end(self, reply: Reply | None) -> None:
        self._over = True
        answering, self._answering = self._answering, None
        self._events = None
        cache, self._cache = self._cache, None
        self._reply = reply
        if cache is not None:
            self._question.end(cache, answering, reply)
