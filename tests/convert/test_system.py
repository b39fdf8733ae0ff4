"""Hints for reading a file once, on macOS and Linux, each faked on whatever runs the tests."""

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
    monkeypatch.setattr(fcntl, "F_NOCACHE", 48, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", asked)
    return asked


def test_a_mac_reads_past_its_cache(monkeypatch: pytest.MonkeyPatch, descriptor: int) -> None:
    asked = on_a_mac(monkeypatch)
    system.will_be_read_once(descriptor)
    assert asked.calls == [(48, 1)]


def test_a_hint_that_is_not_taken_is_no_error(monkeypatch: pytest.MonkeyPatch, descriptor: int) -> None:
    on_a_mac(monkeypatch, refuses=True)
    system.will_be_read_once(descriptor)


def test_elsewhere_a_hint_for_linux_is_given(monkeypatch: pytest.MonkeyPatch, descriptor: int) -> None:
    monkeypatch.delattr(fcntl, "F_NOCACHE", raising=False)
    hinted: list[tuple[int, ...]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda *hint: hinted.append(hint), raising=False)
    monkeypatch.setattr(os, "POSIX_FADV_SEQUENTIAL", 2, raising=False)
    system.will_be_read_once(descriptor)
    assert hinted == [(descriptor, 0, 0, 2)]
