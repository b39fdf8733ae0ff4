"""The live figures of one answer: tokens per second, time to first token, context used and its parts."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from magistral_mlx.events import ContextSegments, Stats

WINDOW_SECONDS = 1.0
"""The span over which the current speed is measured."""


@dataclass(frozen=True)
class Speeds:
    """One reading; None where there is no figure yet."""

    tokens_per_second: float | None
    average: float | None
    time_to_first_token: float | None
    context_used: int
    segments: ContextSegments | None = None


@dataclass
class _Run:
    """One answer; times in seconds of the clock."""

    asked: float = 0.0
    first: float | None = None
    last: float = 0.0
    tokens: int = 0
    """All generated ones."""
    first_tokens: int = 0
    """Those of the first piece; their time belongs to the prefill."""
    recent: deque[tuple[float, int]] = field(default_factory=deque[tuple[float, int]])
    """Time and tokens of the pieces after the first one, within the window."""
    stats: Stats | None = None
    """The exact figures, once it ended."""


class Gauges:
    """Figures that the answering thread feeds and any thread reads.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._context = 0  # tokens before this answer
        self._segments: ContextSegments | None = None
        self._run = _Run()

    def begin(self) -> None:
        """Begin a question."""
        with self._lock:
            self._context += self._run.tokens
            self._run = _Run(asked=self._clock())

    def prompt(self, tokens: int, segments: ContextSegments | None = None) -> None:
        """Note the tokens of the prompt, all earlier turns included."""
        with self._lock:
            self._context = tokens
            self._segments = segments

    def generated(self, tokens: int, *, reasoning: bool = False) -> None:
        """Note tokens that were just generated."""
        with self._lock:
            run, now = self._run, self._clock()
            if (made_of := self._segments) is not None:
                self._segments = replace(
                    made_of,
                    reasoning=made_of.reasoning + tokens * reasoning,
                    answer=made_of.answer + tokens * (not reasoning),
                )
            run.tokens += tokens
            run.last = now
            if run.first is None:
                run.first, run.first_tokens = now, tokens
            else:
                run.recent.append((now, tokens))

    def end(self, stats: Stats) -> None:
        """End the answer; `stats` has the exact counts."""
        with self._lock:
            self._context = stats.prompt_tokens
            self._run.tokens = stats.reasoning_tokens + stats.answer_tokens
            self._run.stats = stats

    def forget(self) -> None:
        """Begin a new conversation with an empty context."""
        with self._lock:
            self._context = 0
            self._segments = None
            self._run = _Run()

    def read(self) -> Speeds:
        """Return the current figures."""
        with self._lock:
            run = self._run
            context = (self._context + run.tokens, self._segments)
            if run.stats is not None:
                exact = (run.stats.decode_tokens_per_second or None, run.stats.time_to_first_token or None)
                return Speeds(None, *exact, *context)
            if run.first is None:
                return Speeds(None, None, None, *context)
            return Speeds(_speed_now(run, self._clock()), _average(run), run.first - run.asked, *context)


def _speed_now(run: _Run, now: float) -> float | None:
    while run.recent and run.recent[0][0] <= now - WINDOW_SECONDS:
        run.recent.popleft()
    # In the first second the window is as long as the decoding itself.
    span = min(WINDOW_SECONDS, now - (run.first or now))
    return sum(tokens for _, tokens in run.recent) / span if span > 0 else None


def _average(run: _Run) -> float | None:
    if run.first is None or run.last <= run.first:
        return None
    return (run.tokens - run.first_tokens) / (run.last - run.first)
