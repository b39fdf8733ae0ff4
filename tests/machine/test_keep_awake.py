"""A Mac stays awake while there is work, by `caffeinate -i`, and never with its display."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from magistral_mlx.machine import keep_awake


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
    with keep_awake.keep_awake(lambda: program):
        assert program.calls == []
    assert program.calls == ["terminate", "wait"]


def test_it_ends_with_an_error_too() -> None:
    program = Program()
    with pytest.raises(ZeroDivisionError), keep_awake.keep_awake(lambda: program):
        raise ZeroDivisionError
    assert program.calls == ["terminate", "wait"]


def test_idle_sleep_alone_is_held_off(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    def popen(command: list[str], **options: Any) -> Program:
        started.append(command)
        return Program()

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(keep_awake.subprocess, "Popen", popen)
    assert keep_awake.caffeinate() is not None
    (command,) = started
    assert command[:2] == ["/usr/bin/caffeinate", "-i"]
    assert "-d" not in command
    assert command[2] == "-w"  # it ends with this process, however that ends


def test_a_mac_without_it_works_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(keep_awake, "PROGRAM", "/nowhere/caffeinate")
    with keep_awake.keep_awake():
        pass


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has it")
def test_elsewhere_nothing_is_started() -> None:
    assert keep_awake.caffeinate() is None


def waiting_program(folder: Path) -> Path:
    """Write a program that waits until it is ended."""
    program = folder / "caffeinate"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    return program


def test_the_program_ends_with_the_block_even_at_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[keep_awake.subprocess.Popen[bytes]] = []
    popen = keep_awake.subprocess.Popen

    def start(*arguments: object, **options: object) -> object:
        started.append(popen(*arguments, **options))  # type: ignore[call-overload]  # handed through
        return started[-1]

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(keep_awake, "PROGRAM", str(waiting_program(tmp_path)))
    monkeypatch.setattr(keep_awake.subprocess, "Popen", start)
    with pytest.raises(KeyboardInterrupt), keep_awake.keep_awake():
        assert started[0].args == [str(tmp_path / "caffeinate"), "-i", "-w", str(os.getpid())]
        assert started[0].poll() is None
        raise KeyboardInterrupt
    assert started[0].poll() is not None
