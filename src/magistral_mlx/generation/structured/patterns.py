"""Shortest completions of a string that a regular expression must match.

A pattern of a JSON schema becomes a nondeterministic automaton (`pattern_syntax`). Every state knows its
distance to acceptance, so the cheapest way from any prefix to a match is read off, without a search.
"""

from collections.abc import Iterator
from functools import lru_cache

from magistral_mlx.generation.structured.pattern_syntax import NotUnderstoodError, Ranges, State, states_of

_UNREACHABLE = 1 << 30


class Pattern:
    """One regular expression, matched anywhere in the string as JSON schema does. Made by `of`."""

    def __init__(self, states: list[State], start: int, accept: int) -> None:
        self._states = states
        self._start = start
        self._accept = accept
        self._distance = self._distances()

    @classmethod
    @lru_cache(maxsize=256)
    def of(cls, text: str) -> "Pattern | None":
        """Compile a pattern; None if it is not understood."""
        try:
            return cls(*states_of(text))
        except (NotUnderstoodError, RecursionError):
            return None

    def completion(self, content: str, *, least: int = 0) -> str | None:
        """Return the shortest text that makes `content` a match.

        Args:
            content: the string so far.
            least: characters that the whole string needs.

        Returns:
            None if no continuation of `content` matches.
        """
        current = self._closure({(self._start, False)}, first=True)
        for char in content:
            current = self._step(current, ord(char))
        missing = least - len(content)
        layers: list[dict[tuple[int, bool], tuple[tuple[int, bool], str]]] = []
        for _ in range(max(missing, 0)):
            layer: dict[tuple[int, bool], tuple[tuple[int, bool], str]] = {}
            for state in current:
                for char, reached in self._edges(state):
                    layer.setdefault(reached, (state, char))
            layers.append(layer)
            current = set(layer)
        ends = [state for state in current if self._distance.get(state, _UNREACHABLE) < _UNREACHABLE]
        if not ends:
            return None
        state = min(ends, key=self._rank)
        tail = self._tail(state)
        head: list[str] = []
        for layer in reversed(layers):
            state, char = layer[state]
            head.append(char)
        return "".join(reversed(head)) + tail

    def _tail(self, state: tuple[int, bool]) -> str:
        written: list[str] = []
        while self._distance[state]:
            char, state = min(self._edges(state), key=lambda edge: self._rank(edge[1]))
            written.append(char)
        return "".join(written)

    def _rank(self, state: tuple[int, bool]) -> tuple[int, bool, tuple[int, bool]]:
        """Sort the nearest to acceptance first, among equals one whose own character brings it nearer."""
        distance = self._distance.get(state, _UNREACHABLE)
        after = self._distance.get((self._states[state[0]].after, False), _UNREACHABLE)
        return distance, distance > 0 and (state[1] or after >= distance), state

    def _edges(self, state: tuple[int, bool]) -> Iterator[tuple[str, tuple[int, bool]]]:
        """The states one character further, each with a character that leads there."""
        index, ended = state
        node = self._states[index]
        if not ended and node.after >= 0 and node.chars:
            char = _plain(node.chars)
            for reached in self._closure({(node.after, False)}, first=False):
                yield char, reached

    def _step(self, states: set[tuple[int, bool]], char: int) -> set[tuple[int, bool]]:
        reached = {
            (self._states[index].after, False)
            for index, ended in states
            if not ended and any(low <= char <= high for low, high in self._states[index].chars)
        }
        return self._closure(reached, first=False)

    def _closure(self, states: set[tuple[int, bool]], *, first: bool) -> set[tuple[int, bool]]:
        seen, todo = set(states), list(states)
        while todo:
            index, ended = todo.pop()
            node = self._states[index]
            further = [(each, ended) for each in node.free]
            further += [(each, ended) for each in node.at_start if first]
            further += [(each, True) for each in node.at_end]
            for each in further:
                if each not in seen:
                    seen.add(each)
                    todo.append(each)
        return seen

    def _distances(self) -> dict[tuple[int, bool], int]:
        """Characters from each state to acceptance, by breadth-first search backwards."""
        free: dict[tuple[int, bool], list[tuple[int, bool]]] = {}
        taking: dict[tuple[int, bool], list[tuple[int, bool]]] = {}
        for index, node in enumerate(self._states):
            for ended in (False, True):
                for each in node.free:
                    free.setdefault((each, ended), []).append((index, ended))
                for each in node.at_end:
                    free.setdefault((each, True), []).append((index, ended))
            if node.after >= 0 and node.chars:
                taking.setdefault((node.after, False), []).append((index, False))
        distance: dict[tuple[int, bool], int] = {}
        layer, count = [(self._accept, False), (self._accept, True)], 0
        while layer:
            following: list[tuple[int, bool]] = []
            while layer:
                state = layer.pop()
                if state in distance:
                    continue
                distance[state] = count
                layer += free.get(state, [])
                following += taking.get(state, [])
            layer, count = following, count + 1
        return distance


@lru_cache(maxsize=1024)
def _plain(chars: Ranges) -> str:
    """Choose a character that JSON writes as one byte, if there is one."""
    for wanted in ((97, 122), (48, 57), (65, 90), (0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E)):
        for low, high in chars:
            start = max(low, wanted[0])
            if start <= min(high, wanted[1]):
                return chr(start)
    usable = next(((low, high) for low, high in chars if not 0xD800 <= low <= 0xDFFF), chars[0])
    return chr(usable[0])
