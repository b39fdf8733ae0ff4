"""A closed terminal and a polite kill: everything is written first, then the app leaves."""

import asyncio
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

_SIGNALS = (signal.SIGHUP, signal.SIGTERM)


@contextmanager
def last_words(leave: Callable[[int], None]) -> Generator[None]:
    """While it lasts, SIGHUP and SIGTERM call `leave` in the event loop, with the exit code to end with."""
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
