"""Finding out that a model repeats itself, on token ids."""

import numpy as np
import numpy.typing as npt

LONGEST_PERIOD = 400
"""Longest cycle looked for, in tokens."""
SHORTEST_SPAN = 256
"""At least so many tokens must repeat: rules of tables, runs of digits or blanks are shorter."""
COPIES = 4
"""At least so many copies of the cycle must stand one after the other."""


class CycleDetector:
    """Tells when the last tokens are one exact cycle, copied again and again.

    A cycle of p tokens (1 to 400) is a loop when the last max(256, 4 p) tokens consist of nothing else.
    Exactness is what avoids false alarms: rows of a table, lists of primes, digits of pi, listings of
    code repeat their form but not their tokens. One comparison with the last 400 tokens per token.
    """

    def __init__(self) -> None:
        periods = np.arange(1, LONGEST_PERIOD + 1)
        # A span of s tokens with period p holds s - p tokens that equal the one p places before.
        self._needed = np.maximum(SHORTEST_SPAN, COPIES * periods) - periods
        self._runs: npt.NDArray[np.int64] = np.zeros(LONGEST_PERIOD, np.int64)
        self._recent: npt.NDArray[np.int64] = np.full(16 * LONGEST_PERIOD, -1, np.int64)
        self._end = LONGEST_PERIOD

    def push(self, token_id: int) -> bool:
        """Takes the next token; True while the last tokens are a loop."""
        if self._end == len(self._recent):
            self._recent[:LONGEST_PERIOD] = self._recent[-LONGEST_PERIOD:]
            self._end = LONGEST_PERIOD
        before = self._recent[self._end - LONGEST_PERIOD : self._end][::-1]  # one place back first
        self._runs = np.where(before == token_id, self._runs + 1, 0)
        self._recent[self._end] = token_id
        self._end += 1
        return bool(np.any(self._runs >= self._needed))
