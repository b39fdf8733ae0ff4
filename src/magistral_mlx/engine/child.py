"""The engine in a child process: the user interface survives its crashes, hangs and memory.

The child is `python -m magistral_mlx.engine.worker` with JSON lines over its stdin and stdout and its stderr
in a log file. It has its own session: Ctrl-C in the terminal reaches only the user interface. It ends when
its stdin closes: it never outlives the user interface.
"""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from magistral_mlx.engine import wire
from magistral_mlx.engine.linked import Deliver, LinkedEngine, Lost
from magistral_mlx.engine.protocol import Close, Failed, Message
from magistral_mlx.errors import EngineError
from magistral_mlx.machine.defects import describe
from magistral_mlx.storage import paths
from magistral_mlx.storage.atomic import make_private, open_private

# -P: a file in the user's folder is never imported; faulthandler: native crashes leave their stack.
PYTHON = (sys.executable, "-P", "-X", "faulthandler")
WORKER = (*PYTHON, "-m", "magistral_mlx.engine.worker")
PATIENCE = 2.0
"""Seconds between asking the child to leave, terminating it and killing it."""
PULSE_TICK = 1.0
"""Seconds between two checks for a sign of life; the child sends figures twice a second."""
SILENT_TICKS = 30
"""Checks without a sign of life after which the child counts as hung. Counted, not timed: while this process
stands still itself (a sleeping machine, Ctrl-Z), it does not check."""

_READ_SIZE = 1 << 16
_log = logging.getLogger(__name__)


def worker_command(*, kv_bits: int = 16, wire: bool = False) -> tuple[str, ...]:
    """Return the command of a child with these settings; see `magistral_mlx.load`."""
    return (*WORKER, "--kv-bits", str(kv_bits), *(("--wire",) if wire else ()))


class ChildEngine(LinkedEngine):
    """An Engine in a child process.

    Args:
        command: the program and its arguments; it speaks the worker's protocol.
        environment: the child's; None: that of this process.
    """

    def __init__(
        self, *, command: Sequence[str] = WORKER, environment: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(lambda deliver, lost: _ChildLink(deliver, lost, command, environment))


class _ChildLink:
    """One child process, from its start to its end."""

    def __init__(
        self, deliver: Deliver, lost: Lost, command: Sequence[str], environment: Mapping[str, str] | None
    ) -> None:
        self._deliver = deliver
        self._lost = lost
        self._command = command
        self._environment = environment
        self._process: Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._log: Path | None = None
        self._closing = False
        self._silent = 0

    async def open(self) -> None:
        opened = open_log()
        log: BinaryIO | int = subprocess.DEVNULL
        if opened is not None:
            log, self._log = opened
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        except OSError as error:
            raise EngineError(
                f"The engine's process could not be started ({error})",
                "Close other programs, or check that Python is still installed.",
            ) from error
        finally:
            if opened is not None:
                opened[0].close()
        self._process = process
        self._supervisor = asyncio.create_task(self._supervise(process), name="engine-supervisor")
        if self._closing:  # closed while it came up
            await self.close()

    def post(self, turn: int, command: Message) -> None:
        stdin = self._process.stdin if self._process else None
        if stdin is not None and not stdin.is_closing():
            stdin.write(wire.encode(turn, command))

    async def close(self) -> None:
        self._closing = True
        process, supervisor = self._process, self._supervisor
        if process is None or supervisor is None:
            return
        self.post(0, Close())
        _close_stdin(process)
        for end in (process.terminate, process.kill):
            done, _ = await asyncio.wait({supervisor}, timeout=PATIENCE)
            if done:
                break
            _log.warning("The engine does not end; %s", end.__name__)
            with contextlib.suppress(ProcessLookupError):
                end()
        await supervisor

    async def _supervise(self, process: Process) -> None:
        """Read until the child is gone; report that, unless it was wanted."""
        reading = asyncio.create_task(self._read(process), name="engine-reader")
        leaving = asyncio.create_task(process.wait(), name="engine-exit")
        hanging = asyncio.create_task(self._until_silent(), name="engine-pulse")
        hung = False
        try:
            await asyncio.wait({reading, leaving, hanging}, return_when=asyncio.FIRST_COMPLETED)
            hung = hanging.done() and not reading.done() and not leaving.done()
            if hung:
                _log.error("The engine gives no sign of life; killing it")
                _kill(process)
            # Read the child's last messages, but not forever: another process may hold the pipe open.
            await asyncio.wait({reading}, timeout=PATIENCE)
            garbage = _outcome(reading)
            if not leaving.done() and not self._closing:
                await asyncio.wait({leaving}, timeout=0 if garbage else PATIENCE)
                _kill(process)
            status = await leaving
        finally:
            reading.cancel()
            hanging.cancel()
            _close_stdin(process)
            _kill(process)
        if not self._closing:
            self._lost(self._obituary(status, garbage, hung=hung))

    async def _until_silent(self) -> None:
        """Return when the child was silent for too long."""
        while self._silent < SILENT_TICKS:
            await asyncio.sleep(PULSE_TICK)
            self._silent += 1

    async def _read(self, process: Process) -> EngineError | None:
        """Deliver all messages; return the error in them, or None at their end."""
        assert process.stdout is not None
        splitter = wire.LineSplitter()
        try:
            while data := await process.stdout.read(_READ_SIZE):
                self._silent = 0
                for line in splitter.push(data):
                    self._deliver(*wire.decode(line))
        except EngineError as error:
            _log.error("The engine sends garbage: %s", error)
            return error
        return None

    def _obituary(self, status: int, garbage: EngineError | None, *, hung: bool) -> Failed:
        remedy = "Start it again and ask again."
        if hung:
            seconds = SILENT_TICKS * PULSE_TICK
            problem = f"The engine hung: it gave no sign of life for {seconds:.0f} seconds, and was ended"
        elif garbage is not None:
            problem = f"The engine sent an unreadable message, and was ended ({garbage.problem})"
        elif status == -signal.SIGKILL:
            problem = "The engine was killed, by the system if memory ran out"
            remedy += " If it happens again, use a smaller model, a shorter conversation or smaller images."
        elif status < 0:
            problem = f"The engine crashed ({_signal_name(-status)})"
        else:
            problem = f"The engine ended unexpectedly (exit status {status})"
        return Failed(problem, remedy, engine_lost=True, log=str(self._log) if self._log else None)


def _outcome(reading: "asyncio.Task[EngineError | None]") -> EngineError | None:
    """Return the error in the messages, or of the reading itself."""
    if not reading.done():
        return None
    defect = reading.exception()
    if defect is None:
        return reading.result()
    _log.error("A defect while reading from the engine\n%s", describe(defect))
    return EngineError(f"{type(defect).__name__}: {defect}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _close_stdin(process: Process) -> None:
    if process.stdin is not None:
        process.stdin.close()


def _kill(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


KEPT = 5
"""The newest log files are kept, this many."""


def open_log() -> tuple[BinaryIO, Path] | None:
    """Open a new log file for appending bytes; return it and its path, or None where that fails.

    An engine without a log is better than none: people can ask although the disk is full.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    folder = paths.log_directory()
    path = folder / f"engine-{stamp}-{os.getpid()}.log"
    try:
        make_private(folder)
        for old in sorted(folder.glob("engine-*.log"))[: -(KEPT - 1)]:
            old.unlink(missing_ok=True)
        return open_private(path), path
    except OSError as error:
        _log.warning("No engine log at %s: %s", path, error)
        return None
