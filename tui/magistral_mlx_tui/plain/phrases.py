"""Cut streams into phrases: a screen reader gets no half words, and need not wait for a whole answer."""

import re

LONGEST = 240
"""Characters; a longer sentence is cut at the last space before that."""
_END = re.compile(r"\n+|(?<=[.!?:;])[ \t]+(?=\S)")


class Phrases:
    """Returns sentences and lines; the cutting of the stream does not matter."""

    def __init__(self) -> None:
        self._held = ""

    def push(self, text: str) -> list[str]:
        """Add text; returns the complete phrases. Joined, the phrases are the text."""
        self._held += text
        phrases: list[str] = []
        while (length := self._next()) is not None:
            phrases.append(self._held[:length])
            self._held = self._held[length:]
        return phrases

    def finish(self) -> list[str]:
        """Return the rest at the end of the text."""
        held, self._held = self._held, ""
        return [held] if held else []

    def _next(self) -> int | None:
        # A match that touches the end may still grow, so it is not complete.
        match = _END.search(self._held, 0, LONGEST)
        if match and match.end() < min(len(self._held), LONGEST):
            return match.end()
        if len(self._held) > LONGEST:
            space = self._held.rfind(" ", 1, LONGEST)
            return space + 1 if space > 0 else LONGEST
        return None
