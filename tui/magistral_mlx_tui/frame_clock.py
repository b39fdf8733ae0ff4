"""When to draw: at most 25 times a second, less often when drawing is slow, never when nothing changed."""

from collections.abc import Callable
from time import perf_counter

SHORTEST, LONGEST = 0.040, 0.250
"""Seconds between two frames."""
_REST = 4
"""A frame is followed by a rest of this many times its duration: drawing takes a fifth of a core at most."""


class FrameClock:
    """Calls `draw` soon after `request`, however often that is called.

    Args:
        draw: draws one frame.
        set_timer: calls a function once after some seconds, as Textual's `set_timer`.
        now: seconds that only grow.
    """

    def __init__(
        self,
        draw: Callable[[], None],
        set_timer: Callable[[float, Callable[[], None]], object],
        *,
        now: Callable[[], float] = perf_counter,
    ) -> None:
        self._draw = draw
        self._set_timer = set_timer
        self._now = now
        self._waiting = False
        self._delay = SHORTEST

    @property
    def delay(self) -> float:
        """Seconds until a frame that is requested now."""
        return self._delay

    def request(self) -> None:
        """Something changed."""
        if not self._waiting:
            self._waiting = True
            self._set_timer(self._delay, self._tick)

    def _tick(self) -> None:
        self._waiting = False
        started = self._now()
        self._draw()
        self._delay = min(LONGEST, max(SHORTEST, _REST * (self._now() - started)))
