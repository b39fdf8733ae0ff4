"""One conversation line by line: reads lines, asks, waits, leaves."""

import asyncio
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import TextIO

from magistral_mlx.commands.console import Console
from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.sessions.records import Options
from magistral_mlx_tui.commands import Command, parse_slash
from magistral_mlx_tui.controller import Controller
from magistral_mlx_tui.phases import Phase
from magistral_mlx_tui.plain.transcript import Transcript
from magistral_mlx_tui.plain.verbs import AT_ONCE, Verbs

EXIT_FAILED, EXIT_INTERRUPTED = 1, 130


class Talk:
    """Reads `source` to its end or until people leave.

    Args:
        controller: not started yet.
        source: the lines; questions wait for each other, commands about what is running do not.
        console: where it is written.
        interactive: whether a person types: then every answer is followed by a prompt, Ctrl-C stops only the
            answer, and a failure is not the end.
        reasoning: whether thoughts are written.
        options: how questions are asked at first.
        resume: name of a kept conversation to go on with.
    """

    def __init__(
        self,
        controller: Controller,
        source: TextIO,
        console: Console,
        *,
        interactive: bool,
        reasoning: bool = True,
        options: Options | None = None,
        resume: str | None = None,
    ) -> None:
        self._controller = controller
        self._source = source
        self._interactive = interactive
        self._resume = resume
        self._transcript = Transcript(controller, console, reasoning=reasoning, questions=not interactive)
        self._verbs = Verbs(controller, self._transcript, options or Options())
        self._changed = asyncio.Event()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._interrupted = False

    async def run(self) -> int:
        """Talk until the end; returns the exit code."""
        self._controller.on_change = self._on_change
        reader = threading.Thread(target=self._read, args=(asyncio.get_running_loop(),), daemon=True)
        with _interrupts(self._interrupt):
            try:
                if self._resume is not None:
                    self._verbs.resume(self._resume)
                self._controller.start()
                self._on_change()
                reader.start()
                await self._talk()
            finally:
                await self._controller.close()
        if self._interrupted:
            return EXIT_INTERRUPTED
        return EXIT_FAILED if self._transcript.failed and not self._interactive else 0

    async def _talk(self) -> None:
        while not self._over() and (text := await self._next_line()) is not None:
            slash = parse_slash(text)
            if slash is None:
                if text.strip():
                    self._controller.submit(self._verbs.question(text))
            elif slash[0] is None:
                self._transcript.say(f"there is no command /{slash[2]}; /help names them all")
            else:
                await self._obey(slash[0], slash[1])
        await self._settled()
        for question in self._controller.withdraw():
            self._transcript.say(f"not asked: {sanitize_line(question.text)}")

    async def _obey(self, command: Command, argument: str) -> None:
        """Commands about what is running are obeyed at once, the others when nothing runs or waits."""
        if command.name not in AT_ONCE:
            await self._settled()
        if not self._over():
            self._verbs.obey(command, argument)

    async def _next_line(self) -> str | None:
        """The next line, with those that it goes on in; None at the end.

        A person is asked for it when nothing runs; who types meanwhile is heard all the same.
        """
        asked = False
        while True:
            if self._interactive and not asked and self._idle():
                asked = True
                self._transcript.say("your question:")
            if self._over():
                return None
            if not self._lines.empty():
                break
            await self._wait()
        line = self._lines.get_nowait()
        while line is not None and line.endswith("\\"):
            following = await self._lines.get()
            line = line[:-1] + "\n" + (following or "")
        return line

    async def _settled(self) -> None:
        """Wait until nothing runs or waits, or people leave."""
        while not self._over() and not self._idle():
            await self._wait()

    async def _wait(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    def _idle(self) -> bool:
        """Whether nothing runs, waits or can go on by itself."""
        controller = self._controller
        lost = controller.failure is not None and controller.failure.engine_lost
        resting = controller.phase in (Phase.READY, Phase.STOPPED, Phase.FAILED)
        return resting and not controller.arranging and (lost or not controller.queue)

    def _over(self) -> bool:
        return self._verbs.left or self._interrupted

    def _on_change(self) -> None:
        self._transcript.report()
        self._changed.set()

    def _interrupt(self) -> None:
        if self._interactive and self._controller.phase.busy and not self._controller.stopping:
            self._controller.stop()
            return
        self._interrupted = True
        self._changed.set()

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread: the loop must stay free while nothing is typed."""
        try:
            for line in self._source:
                loop.call_soon_threadsafe(self._hear, line.rstrip("\r\n"))
            loop.call_soon_threadsafe(self._hear, None)
        except (UnicodeDecodeError, ValueError):  # not text, or closed while it was read
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._hear, None)
        except RuntimeError:  # the loop is closed: people left while they were typing
            return

    def _hear(self, line: str | None) -> None:
        self._lines.put_nowait(line)
        self._changed.set()


@contextmanager
def _interrupts(interrupt: Callable[[], None]) -> Generator[None]:
    """Ctrl-C calls `interrupt` in the event loop; where there are no signals (a thread), nothing does."""
    loop = asyncio.get_running_loop()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
