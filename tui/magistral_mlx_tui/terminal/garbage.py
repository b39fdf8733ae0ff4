"""Collecting cyclic garbage without a pause that people see.

CPython's full collection looks at every object there is: 170 ms once 50,000 tokens are on the screen, at any
moment, and again and again while text streams. So what has survived some seconds gets tenure here: it is set
aside (`gc.freeze`), and the next collection looks only at what came since. Cyclic garbage among the tenured
(a closed dialog) waits for a sweep over everything, which is made while nobody looks.
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


class Tenure:
    """Sets aside what lives long; call `tick` every `EVERY_SECONDS`.

    The collector belongs to the whole process: one `Tenure` at a time, and `stop` gives it back as it was.

    Args:
        now: seconds that only grow.
    """

    def __init__(self, *, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._touched = now()
        self._swept = True
        self._before: tuple[int, int, int] | None = None

    def start(self) -> None:
        """Everything there is gets tenure: modules, classes, the first screen."""
        if self._before is None:
            self._before = gc.get_threshold()
            gc.set_threshold(_YOUNG, self._before[1], _NEVER)
            gc.enable()
            gc.freeze()

    def touch(self) -> None:
        """Something happens that people look at."""
        self._touched = self._now()
        self._swept = False

    def tick(self) -> None:
        """Collect among what is new, or once among everything when nothing has happened for long."""
        if self._before is None:
            return
        if not self._swept and self._now() - self._touched >= IDLE_SECONDS:
            self._swept = True
            gc.unfreeze()
        gc.collect()
        gc.freeze()

    def stop(self) -> None:
        """Leave the collector as it was."""
        if self._before is not None:
            gc.set_threshold(*self._before)
            gc.unfreeze()
            self._before = None
