"""macOS and Linux behind one adapter, each faked on whatever runs the tests."""

import fcntl
import os
from pathlib import Path

import pytest

from magistral_mlx_convert import system


@pytest.fixture
def descriptor(tmp_path: Path) -> int:
    return os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)


class Fcntl:
    """Records what is asked of the kernel."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.calls: list[tuple[int, ...]] = []
        self.refuses = refuses

    def __call__(self, _descriptor: int, *request: int) -> int:
        self.calls.append(request)
        if self.refuses:
            raise OSError
        return 0


def on_a_mac(monkeypatch: pytest.MonkeyPatch, *, refuses: bool = False) -> Fcntl:
    asked = Fcntl(refuses=refuses)
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "F_NOCACHE", 48, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", asked)
    return asked


def test_a_mac_flushes_the_drive_too(monkeypatch: pytest.MonkeyPatch, descriptor: int) -> None:
    asked = on_a_mac(monkeypatch)
    system.sync(descriptor)
    assert asked.calls == [(51,)]


def test_a_file_system_without_a_full_flush_gets_the_plain_one(
    monkeypatch: pytest.MonkeyPatch, descriptor: int
) -> None:
    on_a_mac(monkeypatch, refuses=True)
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    system.sync(descriptor)
    assert flushed == [descriptor]


def test_a_mac_reads_past_its_cache(monkeypatch: pytest.MonkeyPatch, descriptor: int) -> None:
    asked = on_a_mac(monkeypatch)
    system.will_be_read_once(descriptor)
    assert asked.calls == [(48, 1)]


def test_a_hint_that_is_not_taken_is_no_error(monkeypatch: pytest.MonkeyPatch, descriptor: int) -> None:
    on_a_mac(monkeypatch, refuses=True)
    system.will_be_read_once(descriptor)


def test_elsewhere_both_do_what_there_is(monkeypatch: pytest.MonkeyPatch, descriptor: int) -> None:
    for name in ("F_FULLFSYNC", "F_NOCACHE"):
        monkeypatch.delattr(fcntl, name, raising=False)
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    system.sync(descriptor)
    system.will_be_read_once(descriptor)
    assert flushed == [descriptor]
