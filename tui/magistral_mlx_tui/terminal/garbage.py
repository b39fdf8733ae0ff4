"""Collect cyclic garbage without a visible pause.

CPython's full collection visits every object: 170 ms with 50,000 tokens on the screen, again and again while
text streams. Objects that survive some seconds are therefore set aside (`gc.freeze`), and the next collection
visits only newer ones. Cyclic garbage among the old objects (a closed dialog) waits for a full collection
while the app is idle.
"""

import gc
from collections.abc import Callable
from time import monotonic

EVERY_SECONDS = 2.0
"""At 200 tokens/s a collection then takes a few milliseconds."""
IDLE_SECONDS = 30.0
"""Without a key, a click or a token for so long, a pause is not noticed."""
_YOUNG = 5_000
"""Allocations between two collections of the youngest objects."""
_NEVER = 1_000_000
"""Collections of the middle generation between two full ones: Python makes none by itself."""


class Collector:
    """Sets old objects aside; call `tick` every `EVERY_SECONDS`.

    The collector belongs to the whole process: use one `Collector` at a time; `stop` restores it.

    Args:
        now: seconds that only grow.
    """

    def __init__(self, *, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._touched = now()
        self._swept = True
        self._before: tuple[int, int, int] | None = None

    def start(self) -> None:
        """Set all present objects aside: modules, classes, the first screen."""
        if self._before is None:
            self._before = gc.get_threshold()
            gc.set_threshold(_YOUNG, self._before[1], _NEVER)
            gc.enable()
            gc.freeze()

    def touch(self) -> None:
        """Note activity: a sweep waits."""
        self._touched = self._now()
        self._swept = False

    def tick(self) -> None:
        """Collect among new objects; once after a long idle time, among all."""
        if self._before is None:
            return
        if not self._swept and self._now() - self._touched >= IDLE_SECONDS:
            self._swept = True
            gc.unfreeze()
        gc.collect()
        gc.freeze()

    def stop(self) -> None:
        """Restore the collector."""
        if self._before is not None:
            gc.set_threshold(*self._before)
            gc.unfreeze()
            self._before = None
