"""What arrives from a model in pieces, made harmless as if it had arrived whole."""

import re

from magistral_mlx.sanitize import sanitize

MOST_MARKS = 8
"""Combining marks that may pile up on one character; more are left out. Real scripts need fewer."""

# Combining diacritics, variation selectors and zero-width characters. An emoji's joiners stand one by one.
_MARKS = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u200b-\u200f\u2060-\u2064"
    "\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f\ufeff]+"
)
_SEPARATORS = str.maketrans({"\u2028": "\n", "\u2029": "\n"})


class StreamSanitizer:
    """Sanitises a stream: any cutting into pieces gives the same text in the end."""

    def __init__(self) -> None:
        self._held_return = ""
        self._run = 0

    def push(self, piece: str) -> str:
        """The harmless text for the next piece; a carriage return at its end waits for what follows."""
        piece = self._held_return + piece
        self._held_return = "\r" if piece.endswith("\r") else ""
        return self._limit_marks(
            sanitize(piece[: len(piece) - len(self._held_return)]).translate(_SEPARATORS)
        )

    def finish(self) -> str:
        """What was held back, when nothing follows."""
        held, self._held_return = self._held_return, ""
        return sanitize(held)

    def _limit_marks(self, text: str) -> str:
        if not text:
            return text
        if text.isascii():
            self._run = 0
            return text
        carried, self._run = self._run, 0

        def limit(match: re.Match[str]) -> str:
            before = carried if match.start() == 0 else 0
            if match.end() == len(text):
                self._run = before + len(match.group())
            return match.group()[: max(0, MOST_MARKS - before)]

        return _MARKS.sub(limit, text)
