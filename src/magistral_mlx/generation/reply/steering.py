"""Steer a running reply from any thread: stop, pause, hint, answer now."""

import threading


class Steering:
    """Commands of any thread. The answering thread reads them at each token and each prefill chunk."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._going = threading.Event()
        self._going.set()
        self._stopped = False
        self._answer_now = False
        self._hints: list[str] = []

    @property
    def stopped(self) -> bool:
        """Whether the reply ends; final."""
        return self._stopped

    @property
    def paused(self) -> bool:
        """Whether the reply rests; never once stopped."""
        return not self._going.is_set()

    def stop(self) -> None:
        """End the reply; a paused one too."""
        with self._lock:
            self._stopped = True
            self._going.set()

    def pause(self) -> None:
        """Produce nothing until `resume` or `stop`."""
        with self._lock:
            if not self._stopped:
                self._going.clear()

    def resume(self, hint: str | None = None) -> None:
        """Go on; a hint is written into the thought that is open, or that opens next."""
        with self._lock:
            if hint and hint.strip():
                self._hints.append(hint.strip())
            self._going.set()

    def answer_now(self) -> None:
        """Close the thought that is open, or that opens next; a paused reply goes on with that."""
        with self._lock:
            self._answer_now = True
            self._going.set()

    def wait(self) -> None:
        """Wait until the reply is not paused."""
        self._going.wait()

    def take_answer_now(self) -> bool:
        """Whether the answer was asked for since the last call."""
        with self._lock:
            asked, self._answer_now = self._answer_now, False
        return asked

    def take_hints(self) -> list[str]:
        """The hints since the last call, stripped."""
        with self._lock:
            hints, self._hints = self._hints, []
        return hints
