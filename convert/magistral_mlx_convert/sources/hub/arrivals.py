"""Fetch files when they are needed, remove them once they are used up, and say what disk that takes.

A job names its tensors in the order in which it reads them. A thread brings their files in that order, at
most one ahead of the file in use and only where the disk has room for it; a file goes once all that was made
of it is durable. So a source that is not here yet takes the space of about one of its files.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Condition, Thread
from typing import Protocol, runtime_checkable

from magistral_mlx_convert.sources.hub.checksums import Cancelled
from magistral_mlx_convert.sources.source import Source, SourceTensor


@dataclass(frozen=True)
class Need:
    """One tensor that will be read, and the bytes that are written for it."""

    tensor: SourceTensor
    output_bytes: int


@dataclass(frozen=True)
class Fetched:
    """Progress of a download: bytes so far, bytes that this run fetches in all; or a note."""

    done: int = 0
    total: int = 0
    note: str = ""


class Arriving(Protocol):
    """Files that are brought, or checked, while the job runs."""

    def peak_bytes(self, needs: Sequence[Need]) -> int:
        """Disk that output and source files take together at the worst moment, beyond what they take now."""
        ...

    def fetch_bytes(self, needs: Sequence[Need]) -> int:
        """Bytes that must be fetched for these needs; 0 where all is here."""
        ...

    def expect(self, needs: Sequence[Need], tell: Callable[[Fetched], None]) -> None:
        """Begin the job: these tensors are read, once each and in this order. `tell`: from any thread."""
        ...

    def consumed(self, count: int) -> None:
        """Note that the first `count` needs are on the disk: their files may go. From any thread."""
        ...

    def cancel(self) -> None:
        """Give up: everyone who waits gets `Cancelled`."""
        ...


@runtime_checkable
class Supplied(Protocol):
    """A `Source` that stands on such files."""

    supply: Arriving


def supply_of(source: Source) -> Arriving | None:
    """Return the fetcher of the source's files; None for a source without one."""
    return source.supply if isinstance(source, Supplied) else None


def spans(needs: Sequence[Need]) -> dict[str, tuple[int, int]]:
    """File -> positions of its first and last need, files in the order of the first."""
    found: dict[str, tuple[int, int]] = {}
    for position, need in enumerate(needs):
        first, _ = found.get(need.tensor.file, (position, position))
        found[need.tensor.file] = first, position
    return found


def peak_bytes(needs: Sequence[Need], sizes: Mapping[str, int]) -> int:
    """The most that output and files in use take at once. `sizes`: what bringing a file takes of the disk."""
    in_use = spans(needs)
    written = peak = 0
    for position, need in enumerate(needs):
        written += need.output_bytes
        held = sum(sizes.get(file, 0) for file, (first, last) in in_use.items() if first <= position <= last)
        peak = max(peak, written + held)
    return peak


class Arrivals:
    """Run the rule above.

    Args:
        bring: makes a file available, from the thread; `cancelled()` says when to give up with `Cancelled`.
        drop: removes a file that `bring` had brought.
        has_room: whether the disk has room for a file beside the one in use, given the output still to come.
    """

    def __init__(
        self,
        needs: Sequence[Need],
        *,
        bring: Callable[[str, Callable[[], bool]], Path],
        drop: Callable[[str], None],
        has_room: Callable[[str, int], bool],
    ) -> None:
        self._spans = spans(needs)
        self._output_left = [0] * (len(needs) + 1)
        for position in reversed(range(len(needs))):
            self._output_left[position] = self._output_left[position + 1] + needs[position].output_bytes
        self._bring, self._drop, self._has_room = bring, drop, has_room
        self._changed = Condition()
        self._here: dict[str, Path] = {}
        self._gone: set[str] = set()
        self._consumed = 0
        self._cancelled = False
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._run, name="convert-arrivals", daemon=True)
        self._thread.start()

    def path(self, file: str) -> Path:
        """Return the path of `file`; wait for it.

        Raises:
            Cancelled: `cancel` was called.
            MagistralError: what bringing it, or one before it, failed with.
        """
        with self._changed:
            self._changed.wait_for(lambda: file in self._here or self._failure or self._cancelled)
            if self._cancelled:
                raise Cancelled
            if file not in self._here and self._failure is not None:
                raise self._failure
            return self._here[file]

    def consumed(self, count: int) -> None:
        """See `Arriving.consumed`."""
        with self._changed:
            self._consumed = count
            going = [file for file in self._here if file not in self._gone and self._last(file) < count]
            self._gone.update(going)
        for file in going:
            self._drop(file)
        with self._changed:
            self._changed.notify_all()

    def cancel(self) -> None:
        """See `Arriving.cancel`. A thread that waits for the network ends when it notices."""
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            for file in self._spans:
                with self._changed:
                    self._changed.wait_for(partial(self._may_go_on, file))
                    if self._cancelled:
                        return
                path = self._bring(file, lambda: self._cancelled)
                with self._changed:
                    self._here[file] = path
                    self._changed.notify_all()
        except Cancelled:
            return
        except BaseException as error:  # noqa: BLE001 - kept for whoever waits for the file, who raises it
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def _may_go_on(self, file: str) -> bool:
        return self._cancelled or self._may_come(file)

    def _may_come(self, file: str) -> bool:
        first, _ = self._spans[file]
        # Files that are needed together with this one must be held together; the others go before it, unless
        # there is room.
        before = [held for held in self._here if held not in self._gone and self._last(held) < first]
        return not before or (len(before) == 1 and self._has_room(file, self._output_left[self._consumed]))

    def _last(self, file: str) -> int:
        return self._spans[file][1]
