"""Flushing to the disk on macOS and Linux, each faked on whatever runs the tests."""

import fcntl
import os
from pathlib import Path

import pytest

from magistral_mlx.storage.atomic import sync


class Kernel:
    """Records what is asked of fcntl and fsync."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, refuses: bool = False) -> None:
        self.requests: list[int] = []
        self.flushed: list[int] = []
        self.refuses = refuses
        monkeypatch.setattr(fcntl, "fcntl", self.request)
        monkeypatch.setattr(os, "fsync", self.flushed.append)

    def request(self, _descriptor: int, request: int) -> int:
        self.requests.append(request)
        if self.refuses:
            raise OSError
        return 0


@pytest.fixture
def descriptor(tmp_path: Path) -> int:
    return os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)


def test_a_mac_flushes_the_drive_too(monkeypatch: pytest.MonkeyPatch, descriptor: int) -> None:
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    kernel = Kernel(monkeypatch)
    sync(descriptor)
    assert (kernel.requests, kernel.flushed) == ([51], [])


def test_a_file_system_without_a_full_flush_gets_the_plain_one(
    monkeypatch: pytest.MonkeyPatch, descriptor: int
) -> None:
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    kernel = Kernel(monkeypatch, refuses=True)
    sync(descriptor)
    assert kernel.flushed == [descriptor]


def test_elsewhere_the_plain_flush_is_all_there_is(monkeypatch: pytest.MonkeyPatch, descriptor: int) -> None:
    monkeypatch.delattr(fcntl, "F_FULLFSYNC", raising=False)
    kernel = Kernel(monkeypatch)
    sync(descriptor)
    assert (kernel.requests, kernel.flushed) == ([], [descriptor])
