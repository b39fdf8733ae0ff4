"""Stop strings that may begin in one piece of text and end in a later one."""

from collections.abc import Sequence


class StopMatcher:
    """Passes text on until a stop string is complete, holding back what may still become one.

    What comes out does not depend on how the text is cut into pieces: the stop string that is complete first
    counts, and of several that end at the same place the longest.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = tuple(stop)
        self._held = ""
        self.matched = False

    def push(self, text: str) -> str:
        """The text that lies before any stop string; nothing more once one has matched."""
        if self.matched:
            return ""
        held = self._held + text
        found = [(start + len(stop), start) for stop in self._stop if (start := held.find(stop)) >= 0]
        if found:
            self.matched = True
            self._held = ""
            return held[: min(found)[1]]
        keep = self._longest_beginning(held)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]

    def flush(self) -> str:
        """The text held back, now that nothing follows it."""
        held, self._held = self._held, ""
        return held

    def _longest_beginning(self, text: str) -> int:
        """Length of the longest suffix of `text` that a stop string begins with."""
        longest = min(len(text), max((len(stop) - 1 for stop in self._stop), default=0))
        for length in range(longest, 0, -1):
            tail = text[len(text) - length :]
            if any(stop.startswith(tail) for stop in self._stop):
                return length
        return 0
