"""Detect on token ids that a model repeats itself."""

from collections import Counter, deque

import numpy as np
import numpy.typing as npt

LONGEST_PERIOD = 400
"""Longest cycle searched for, in tokens."""
SHORTEST_SPAN = 256
"""Fewest tokens that must repeat: table rules, runs of digits or blanks are shorter."""
COPIES = 4
"""Fewest copies of the cycle in a row."""
NEAR_RUN = 16
"""Tokens of a repeated run: longer than the constant part of most table rows."""
NEAR_SPAN = 2048
"""Tokens over which novelty is measured: longer than a song or form that repeats itself on purpose."""
NEAR_DISTANCE = 512
"""Tokens back that a run counts as repeated; a draft written a second time is no cycle."""
NEAR_NOVELTY = 1 / 3
"""Below it, the tokens are a near-cycle."""
NEAR_TOKENS = 16
"""Fewest different tokens; fewer are a matrix or a drawing of characters, not prose."""


class CycleDetector:
    """Detects that the last tokens are one exact cycle, copied again and again.

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
        """Take the next token; True while the last tokens are a loop."""
        if self._end == len(self._recent):
            self._recent[:LONGEST_PERIOD] = self._recent[-LONGEST_PERIOD:]
            self._end = LONGEST_PERIOD
        before = self._recent[self._end - LONGEST_PERIOD : self._end][::-1]  # one place back first
        self._runs = np.where(before == token_id, self._runs + 1, 0)
        self._recent[self._end] = token_id
        self._end += 1
        return bool(np.any(self._runs >= self._needed))


class NearCycleDetector:
    """Detects that the last tokens repeat the ones shortly before, with small changes.

    Measured is the novelty of the last `NEAR_SPAN` tokens: the share of them that do not complete a run of
    `NEAR_RUN` tokens which stood within the last `NEAR_DISTANCE` tokens before. A sentence that is said again
    and again (40 tokens) with one word changed each time has a novelty of 0.31, as each change makes 16 runs
    new. Text that only repeats its form has more, as its numbers and names change within every 16 tokens:
    prose, code, primes, tables about 1, rows of HTML 0.66, a poem with a long refrain 0.39, JSON objects with
    five constant fields of seven 0.38 (docs/experiments.md has more).

    What uses few different tokens (matrices of zeros and ones, truth tables) is left to the exact cycles.
    """

    def __init__(self) -> None:
        self._ids: deque[int] = deque(maxlen=NEAR_RUN)
        self._window: deque[tuple[int, bool]] = deque()
        self._last_seen: dict[int, int] = {}
        self._counts: Counter[int] = Counter()
        self._new = 0
        self._position = 0

    def push(self, token_id: int) -> bool:
        """Take the next token; True while the last tokens are a near-cycle."""
        self._ids.append(token_id)
        run = hash(tuple(self._ids))
        before = self._last_seen.get(run)
        is_new = before is None or self._position - before > NEAR_DISTANCE
        self._last_seen[run] = self._position
        self._position += 1
        self._window.append((token_id, is_new))
        self._counts[token_id] += 1
        self._new += is_new
        if len(self._window) <= NEAR_SPAN:
            return len(self._window) == NEAR_SPAN and self._is_loop()
        old, was_new = self._window.popleft()
        self._new -= was_new
        self._counts[old] -= 1
        if not self._counts[old]:
            del self._counts[old]
        if len(self._last_seen) > 8 * NEAR_DISTANCE:
            self._forget()
        return self._is_loop()

    def _is_loop(self) -> bool:
        return self._new < NEAR_NOVELTY * NEAR_SPAN and len(self._counts) >= NEAR_TOKENS

    def _forget(self) -> None:
        oldest = self._position - NEAR_DISTANCE
        self._last_seen = {run: at for run, at in self._last_seen.items() if at >= oldest}
