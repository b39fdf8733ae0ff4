"""Save, then exit, on SIGHUP and SIGTERM."""

import asyncio
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

_SIGNALS = (signal.SIGHUP, signal.SIGTERM)


@contextmanager
def leave_on_signals(leave: Callable[[int], None]) -> Generator[None]:
    """SIGHUP and SIGTERM call `leave` with the exit code, in the event loop."""
    loop = asyncio.get_running_loop()
    if threading.current_thread() is not threading.main_thread():  # signals belong to the main thread
        yield
        return
    for number in _SIGNALS:
        loop.add_signal_handler(number, leave, 128 + number)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
