"""A Mac stays awake while there is work, by `caffeinate -i`, and never with its display."""

import sys
from typing import Any

import pytest

from magistral_mlx.machine import keep_awake as module
from magistral_mlx.machine.keep_awake import caffeinate, keep_awake


class Program:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def terminate(self) -> None:
        self.calls.append("terminate")

    def wait(self) -> int:
        self.calls.append("wait")
        return 0


def test_it_runs_only_within() -> None:
    program = Program()
    with keep_awake(lambda: program):
        assert program.calls == []
    assert program.calls == ["terminate", "wait"]


def test_it_ends_with_an_error_too() -> None:
    program = Program()
    with pytest.raises(ZeroDivisionError), keep_awake(lambda: program):
        raise ZeroDivisionError
    assert program.calls == ["terminate", "wait"]


def test_idle_sleep_alone_is_held_off(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    def popen(command: list[str], **options: Any) -> Program:
        started.append(command)
        return Program()

    monkeypatch.setattr(module.sys, "platform", "darwin")
    monkeypatch.setattr(module.subprocess, "Popen", popen)
    assert caffeinate() is not None
    (command,) = started
    assert command[:2] == ["/usr/bin/caffeinate", "-i"]
    assert "-d" not in command
    assert command[2] == "-w"  # it ends with this process, however that ends


def test_a_mac_without_it_works_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "platform", "darwin")
    monkeypatch.setattr(module, "PROGRAM", "/nowhere/caffeinate")
    with keep_awake():
        pass


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has it")
def test_elsewhere_nothing_is_started() -> None:
    assert caffeinate() is None
