"""Which file of a source comes when, when it goes, and what that takes of the disk; no network, no disk."""

from pathlib import Path
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.errors import NetworkError
from magistral_mlx_convert.sources.hub.arrivals import Arrivals, Need, peak_bytes, spans
from magistral_mlx_convert.sources.hub.checksums import Cancelled
from magistral_mlx_convert.sources.source import SourceTensor

PATIENCE = 60.0


def needs_of(files: str, *, output_bytes: int = 10) -> list[Need]:
    """A need for each letter, in a file of that name."""
    return [
        Need(SourceTensor(name=f"{file}{number}", dtype="BF16", shape=(1,), file=file), output_bytes)
        for number, file in enumerate(files)
    ]


class Disk:
    """Brings at once, and remembers what lay there together."""

    def __init__(self, *, room: bool) -> None:
        self.room = room
        self.held: set[str] = set()
        self.most: set[str] = set()
        self.log: list[str] = []

    def bring(self, file: str, _cancelled: object) -> Path:
        self.held.add(file)
        self.log.append(f"+{file}")
        self.most = max(self.most, set(self.held), key=len)
        return Path(file)

    def drop(self, file: str) -> None:
        self.held.discard(file)
        self.log.append(f"-{file}")

    def has_room(self, _file: str, _output_left: int) -> bool:
        return self.room

    def arrivals(self, files: str) -> Arrivals:
        return Arrivals(needs_of(files), bring=self.bring, drop=self.drop, has_room=self.has_room)


def read_all(disk: Disk, files: str) -> None:
    arrivals = disk.arrivals(files)
    for position, file in enumerate(files):
        assert arrivals.path(file) == Path(file)
        arrivals.consumed(position + 1)
    arrivals.cancel()


def test_without_room_one_file_goes_before_the_next_comes() -> None:
    disk = Disk(room=False)
    read_all(disk, "aabbcc")
    assert disk.log == ["+a", "-a", "+b", "-b", "+c", "-c"]


def test_files_that_are_needed_together_are_held_together() -> None:
    disk = Disk(room=False)
    read_all(disk, "aabab" + "cc")
    assert disk.log == ["+a", "+b", "-a", "-b", "+c", "-c"]


def test_with_room_one_file_comes_ahead_and_never_two() -> None:
    disk = Disk(room=True)
    arrivals = disk.arrivals("abcd")
    arrivals.path("b")
    assert disk.held == {"a", "b"}
    arrivals.consumed(1)
    arrivals.path("c")
    assert disk.held == {"b", "c"}
    arrivals.cancel()


@given(st.text("abcde", min_size=1, max_size=40), st.booleans())
def test_every_file_comes_once_and_goes_and_the_peak_is_as_foretold(files: str, room: bool) -> None:
    disk = Disk(room=room)
    read_all(disk, files)
    assert sorted(disk.log) == sorted(f"{sign}{file}" for file in set(files) for sign in "+-")
    assert disk.held == set()
    if not room:
        needs = needs_of(files, output_bytes=0)
        assert len(disk.most) <= peak_bytes(needs, dict.fromkeys(files, 1)) + _early(files)


def _early(files: str) -> int:
    """A file that overlaps a later one is joined by it from its start on, before both are needed."""
    found = spans(needs_of(files))
    return max(
        sum(1 for first, last in found.values() if first <= end and last >= start) - 1
        for start, end in found.values()
    )


def test_the_peak_is_output_and_files_in_use() -> None:
    needs = needs_of("aabb", output_bytes=10)
    assert peak_bytes(needs, {"a": 100, "b": 100}) == 140
    assert peak_bytes(needs, {"a": 100}) == 120
    assert peak_bytes(needs, {}) == 40
    assert peak_bytes(needs_of("abab", output_bytes=10), {"a": 100, "b": 100}) == 230


def test_a_failure_reaches_who_waits_for_the_file_and_not_who_has_his() -> None:
    def bring(file: str, _cancelled: object) -> Path:
        if file == "b":
            raise NetworkError("b did not come", "Try again.")
        return Path(file)

    arrivals = Arrivals(
        needs_of("ab"), bring=bring, drop=lambda _: None, has_room=lambda _file, _output_left: True
    )
    with pytest.raises(NetworkError, match="b did not come"):
        arrivals.path("b")
    assert arrivals.path("a") == Path("a")


def test_cancelling_frees_who_waits_and_tells_who_brings() -> None:
    started, told = Event(), Event()

    def bring(file: str, cancelled: object) -> Path:
        started.set()
        while not cancelled():  # type: ignore[operator]  # as `Arrivals` calls it
            pass
        told.set()
        raise Cancelled

    arrivals = Arrivals(
        needs_of("a"), bring=bring, drop=lambda _: None, has_room=lambda _file, _output_left: True
    )
    assert started.wait(PATIENCE)
    arrivals.cancel()
    with pytest.raises(Cancelled):
        arrivals.path("a")
    assert told.wait(PATIENCE)
