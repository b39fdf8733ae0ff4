"""The one thread that imports MLX's libraries, loads models and generates.

MLX binds streams to threads: another thread cannot go on with work that one started. A thread that imported
mlx_lm must not end before its streams are cleared, or the interpreter aborts at exit. Two streams at once can
also make macOS panic. So one thread per process serves all models. It starts with the first one and ends at
exit.
"""

import atexit
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")

_EXIT_SECONDS = 10.0


class _Job(Generic[T]):
    """Work for the thread and, once `done`, its result."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._value: T
        self._error: BaseException | None = None
        self.done = threading.Event()

    def run(self) -> None:
        try:
            self._value = self._work()
        except BaseException as error:  # noqa: BLE001 - not handled here: raised again where the work was asked for
            self._error = error
        self.done.set()

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._value


class OwnerThread:
    """Runs pieces of work one after the other, from any thread."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job[object] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="magistral-mlx", daemon=True)
        self._thread.start()
        self.closing = False
        """The interpreter is about to exit: long work should end soon."""

    def call(self, work: Callable[[], T], *, on_interrupt: Callable[[], bool | None] | None = None) -> T:
        """Run `work` on the thread, wait, and return its result or raise its exception.

        Args:
            on_interrupt: makes `work` end early. Called when the wait is interrupted (Ctrl-C); this call then
                waits for the work to end and raises the interruption. A wait that is interrupted again, or
                whose work was told to end before (it returns False), raises at once.
        """
        if threading.current_thread() is self._thread:
            return work()
        job = _Job(work)
        self._jobs.put(job)  # type: ignore[arg-type]  # a job of any result type: only its asker reads it
        try:
            job.done.wait()
        except BaseException:
            if on_interrupt is not None and on_interrupt() is not False:
                job.done.wait()
            raise
        return job.result()

    def post(self, work: Callable[[], None]) -> None:
        """Run `work` later, without waiting; safe in finalizers."""
        self._jobs.put(_Job[object](work))

    def close(self, seconds: float = _EXIT_SECONDS) -> bool:
        """End the thread after its current work; at exit only. Tell whether it ended in so many seconds."""
        self.closing = True
        self._jobs.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()
            del job  # keep nothing of it alive while waiting for the next one
        if "mlx.core" in sys.modules:
            sys.modules["mlx.core"].clear_streams()


_lock = threading.Lock()
_owner: OwnerThread | None = None


def owner_thread() -> OwnerThread:
    """The process's owner thread, started on the first call."""
    global _owner
    with _lock:
        if _owner is None:
            _owner = OwnerThread()
            atexit.register(_owner.close)
        return _owner


def end_within(seconds: float) -> bool:
    """End the process's owner thread, if there is one; tell whether it ended in so many seconds."""
    return _owner is None or _owner.close(seconds)
