"""Unpacking of GGUF rows in processes of their own: the library computes in numpy, which holds Python's lock.

A chunk of rows is cut into as many parts as there are processes; each part travels through a pipe and comes
back as float32, straight into the caller's buffer. So memory is bounded by the chunk, and the result can't
depend on the number of processes. They are started by the interpreter's own command line, not by
multiprocessing: a program that calls `convert` needs no `if __name__ == "__main__"`.
"""

import io
import itertools
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import BinaryIO, cast

from magistral_mlx.errors import ConversionError
from magistral_mlx_convert.sources.gguf.dequantize_worker import ANSWER, REQUEST
from magistral_mlx_convert.sources.gguf.header import PackedType

MOST_PROCESSES = 8
"""Beyond it the pipes and the quantizing thread are the bound."""

SMALLEST_PART = 1 << 18
"""Numbers that are worth a process of their own."""

_GRACE_SECONDS = 5


class DequantizePool:
    """Processes that are started when they are needed, and end with `close`."""

    def __init__(self, processes: int | None = None) -> None:
        # One core quantizes and writes meanwhile.
        self._most = processes or max(1, min(MOST_PROCESSES, (os.cpu_count() or 2) - 1))
        self._processes: list[subprocess.Popen[bytes]] = []
        self._threads = ThreadPoolExecutor(max_workers=self._most, thread_name_prefix="dequantize")

    def unpack(self, packed: memoryview, into: memoryview, *, rows: int, kind: PackedType) -> None:
        """Fills `into` with the float32 of `rows` packed rows. From one thread at a time.

        Raises:
            ConversionError: a process failed.
        """
        parts = max(1, min(self._most, rows, into.nbytes // 4 // SMALLEST_PART))
        while len(self._processes) < parts:
            self._processes.append(_start())
        borders = [rows * part // parts for part in range(parts + 1)]
        packed_row, row = packed.nbytes // rows, into.nbytes // rows
        running = [
            self._threads.submit(
                _ask,
                self._processes[part],
                packed[first * packed_row : last * packed_row],
                into[first * row : last * row],
                last - first,
                kind,
            )
            for part, (first, last) in enumerate(itertools.pairwise(borders))
        ]
        for part in running:
            part.result()

    def close(self) -> None:
        """Ends the processes."""
        for process in self._processes:
            with suppress(BrokenPipeError):  # it ended before
                cast(BinaryIO, process.stdin).close()
        self._threads.shutdown()
        for process in self._processes:
            try:
                process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            cast(BinaryIO, process.stdout).close()
        self._processes.clear()

    def __enter__(self) -> "DequantizePool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        # -P: never from the working directory.
        [sys.executable, "-P", "-m", "magistral_mlx_convert.sources.gguf.dequantize_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # Ctrl-C is for the conversion, which then ends its processes.
        start_new_session=True,
    )


def _ask(
    process: "subprocess.Popen[bytes]", packed: memoryview, into: memoryview, rows: int, kind: PackedType
) -> None:
    requests, answers = cast(BinaryIO, process.stdin), cast(BinaryIO, process.stdout)
    try:
        requests.write(REQUEST.pack(kind.code, rows, packed.nbytes))
        requests.write(packed)
        requests.flush()
        head = answers.read(ANSWER.size)
        if len(head) < ANSWER.size:
            raise BrokenPipeError
        good, nbytes = ANSWER.unpack(head)
        if not good:
            raise ConversionError(
                f"{kind.name} can't be unpacked: {answers.read(nbytes).decode(errors='replace')}",
                "Take a GGUF file of another type, such as Q8_0 or BF16.",
            )
        if nbytes != into.nbytes:
            raise ConversionError(
                f"{kind.name} unpacked to {nbytes} bytes instead of {into.nbytes}",
                "Install the versions of constraints.txt.",
            )
        done = 0
        while done < nbytes:
            # The pipe gives what it has.
            count = cast(io.BufferedReader, answers).readinto(into[done:])
            if not count:
                raise BrokenPipeError
            done += count
    except (BrokenPipeError, ValueError) as error:
        raise ConversionError(
            f"A process that unpacks {kind.name} ended (exit status {process.poll()})",
            "Free some memory and run the same command again; it goes on where it stopped.",
        ) from error
