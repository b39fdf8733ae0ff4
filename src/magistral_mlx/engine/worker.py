"""The child process of ChildEngine: commands on stdin, messages on stdout, everything else into the log.

    python -m magistral_mlx.engine.worker [--kv-bits 8] [--wire]

Ends on Close, when stdin closes (the user interface is gone) and when stdout does. Only messages reach
stdout: the worker moves the pipe away first, and prints of libraries go to stderr.
"""

import argparse
import logging
import os
import platform
import sys
import threading
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import BinaryIO, NoReturn

from magistral_mlx.engine import wire
from magistral_mlx.engine.adapter import MagistralRuntime
from magistral_mlx.engine.host import Host
from magistral_mlx.engine.protocol import Close, Failed, Message
from magistral_mlx.engine.wire import Mailbox
from magistral_mlx.errors import EngineError
from magistral_mlx.machine.defects import describe
from magistral_mlx.machine.keep_awake import keep_awake
from magistral_mlx.machine.probes import probes_of_this_machine
from magistral_mlx.machine.telemetry import sample

MERGE_SECONDS = 0.03
"""Pieces within this time go out as one."""
PARTING_SECONDS = 1.0
"""Longest wait of a leaving worker for its runtime."""

_log = logging.getLogger(__name__)


def main(make_runtime: Callable[[], MagistralRuntime]) -> NoReturn:
    """Serve one user interface and exit."""
    commands, messages = _take_pipes()
    _begin_log()
    outbox = _Outbox(messages)
    probes = probes_of_this_machine()

    def abandon(failed: Failed) -> None:
        outbox.end()
        _leave()

    host = Host(
        make_runtime(),
        outbox.put,
        telemetry=lambda: sample(probes),
        abandon=abandon,
        awake=keep_awake,
    )
    outbox.begin()
    host.begin()
    _serve(commands, host, outbox)
    host.handle(0, Close())
    host.join(PARTING_SECONDS)
    outbox.end()
    _leave()


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Take stdin and stdout for the protocol alone: libraries read nothing, and print into the log."""
    commands = os.fdopen(os.dup(0), "rb")
    messages = os.fdopen(os.dup(1), "wb", buffering=0)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return commands, messages


def _begin_log() -> None:
    """Log warnings to stderr; lower levels of libraries may quote users, and are left out."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    _log.setLevel(logging.INFO)
    # Python's own hooks print messages, which may quote users.
    sys.excepthook = lambda kind, error, place: _log.error("A defect\n%s", describe(error))
    threading.excepthook = lambda end: _log.error(
        "A thread ended\n%s", describe(end.exc_value) if end.exc_value else end.exc_type.__name__
    )
    version = metadata.version("magistral-mlx")
    _log.info("magistral-mlx %s, Python %s, %s", version, platform.python_version(), platform.platform())


def _serve(commands: BinaryIO, host: Host, outbox: "_Outbox") -> None:
    """Pass every command to the host, until Close or the end of stdin."""
    for line in commands:
        try:
            turn, command = wire.decode(line)
        except EngineError as error:
            _log.error("Not a command: %s", error)
            outbox.put(0, Failed(error.problem, error.remedy))
            continue
        if isinstance(command, Close):
            return
        host.handle(turn, command)


class _Outbox:
    """Write messages on a separate thread: a reader that is slow never delays the answer."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._mailbox = Mailbox(self._wake.set)
        self._thread = threading.Thread(target=self._write, name="engine-outbox", daemon=True)
        self.put = self._mailbox.put

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Write the remaining messages, if somebody still reads."""
        self._ending.set()
        self._wake.set()
        self._thread.join(PARTING_SECONDS)

    def _write(self) -> None:
        while True:
            ending = self._ending.is_set()  # read before taking: messages put until then still go out
            if not ending:
                self._wake.wait()
                self._wake.clear()
            try:
                lines = [_encode(turn, message) for turn, message in self._mailbox.take()]
                _write_all(self._pipe, b"".join(lines))
            except OSError:
                _log.info("The reader is gone")
                _leave()
            except BaseException as error:  # noqa: BLE001 - the outermost edge: an engine that is mute must end
                _log.error("A defect while writing messages\n%s", describe(error))
                _leave(1)
            if ending:
                return
            self._ending.wait(MERGE_SECONDS)


def _encode(turn: int, message: Message) -> bytes:
    try:
        return wire.encode(turn, message)
    except EngineError as error:  # a defect; the request must still end
        _log.error("%s cannot be sent: %s", type(message).__name__, error)
        return wire.encode(turn, Failed(error.problem, error.remedy))


def _write_all(pipe: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[pipe.write(view) :]


def _leave(status: int = 0) -> NoReturn:
    """Exit at once: other threads may be deaf, such as one that prefills on the GPU."""
    logging.shutdown()
    os._exit(status)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kv-bits", type=int, choices=(16, 8, 4), default=16)
    parser.add_argument("--wire", action="store_true")
    settings = parser.parse_args()
    main(lambda: MagistralRuntime(kv_bits=settings.kv_bits, wire=settings.wire))
