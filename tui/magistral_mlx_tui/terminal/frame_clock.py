"""When to draw: at most 25 times a second, less often when drawing is slow, never when nothing changed."""

from collections.abc import Callable
from time import perf_counter, thread_time

SHORTEST, LONGEST = 0.040, 0.250
"""Seconds between two frames."""
_REST = 15
"""Frames are this many times as far apart as what was done since the last one took: a sixteenth of a core.

Where model and screen share two cores, a tenth of one costs the model 2 % of its speed.
"""


class FrameClock:
    """Calls `draw` soon after `request`, however often that is called.

    Args:
        draw: draws one frame.
        set_timer: calls a function once after some seconds, as Textual's `set_timer`.
        shortest: seconds between two frames.
        now: seconds that only grow.
        work: seconds for which this thread has worked: Textual composes the screen some time after `draw`,
            and that takes twice as long.
    """

    def __init__(
        self,
        draw: Callable[[], None],
        set_timer: Callable[[float, Callable[[], None]], object],
        *,
        shortest: float = SHORTEST,
        now: Callable[[], float] = perf_counter,
        work: Callable[[], float] = thread_time,
    ) -> None:
        self._draw = draw
        self._set_timer = set_timer
        self._shortest = shortest
        self._now = now
        self._work = work
        self._waiting = False
        self._drawn = -LONGEST
        self._worked = work()
        self._pause = shortest

    @property
    def delay(self) -> float:
        """Seconds until a frame that is requested now: after a quiet time it comes soon."""
        return max(SHORTEST, self._drawn + self._pause - self._now())

    @property
    def waiting(self) -> bool:
        """Whether a frame is due."""
        return self._waiting

    def request(self) -> None:
        """Something changed."""
        if not self._waiting:
            self._waiting = True
            self._set_timer(self.delay, self._tick)

    def _tick(self) -> None:
        self._waiting = False
        before, self._worked = self._worked, self._work()
        self._pause = max(self._shortest, min(LONGEST, _REST * (self._worked - before)))
        self._draw()
        self._drawn = self._now()
