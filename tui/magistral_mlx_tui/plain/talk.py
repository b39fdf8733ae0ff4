"""One conversation line by line: reads lines, asks, waits, leaves."""

import asyncio
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import TextIO

from magistral_mlx.commands.console import Console
from magistral_mlx.errors import MagistralError
from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.storage.messages import Options
from magistral_mlx_tui.command_table import Command, no_such_command, parse_slash
from magistral_mlx_tui.conversation.controller import Controller
from magistral_mlx_tui.conversation.state import Phase
from magistral_mlx_tui.plain.commands import AT_ONCE, PlainCommands
from magistral_mlx_tui.plain.transcript import Transcript
from magistral_mlx_tui.terminal.signals import leave_on_signals

EXIT_FAILED, EXIT_INTERRUPTED = 1, 130


class Talk:
    """Reads `source` to its end or until people leave.

    Args:
        controller: not started yet.
        source: the lines; questions wait for each other, commands about the running answer do not.
        console: the output.
        interactive: whether a person types: then every answer is followed by a prompt, Ctrl-C stops only the
            answer, and a failure is not the end.
        reasoning: write the reasoning.
        options: how questions are asked at first.
        resume: name of a conversation to open.
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
        self._commands = PlainCommands(controller, self._transcript, options or Options())
        self._verbs = self._commands.verbs
        self._changed = asyncio.Event()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._code: int | None = None
        """Exit code to leave with at once."""
        self._broken: OSError | MagistralError | None = None
        """The error that ended the output."""

    async def run(self) -> int:
        """Talk until the end; returns the exit code.

        Raises:
            OSError, MagistralError: the output cannot be written any more; everything is kept.
        """
        self._controller.on_change = self._on_change
        reader = threading.Thread(target=self._read, args=(asyncio.get_running_loop(),), daemon=True)
        with _interrupts(self._interrupt), leave_on_signals(self._leave):
            try:
                if self._resume is not None:
                    self._commands.say(self._verbs.resume(self._resume))
                elif self._interactive:
                    self._commands.say(self._verbs.restore(self._controller.recorder.orphaned_draft()))
                self._controller.start()
                self._on_change()
                reader.start()
                await self._talk()
            except OSError as error:
                self._broken = error
            finally:
                self._keep_unasked()
                await self._controller.close()
        if self._code is not None:
            return self._code
        if self._broken is not None:
            raise self._broken
        return EXIT_FAILED if self._transcript.failed and not self._interactive else 0

    async def _talk(self) -> None:
        while not self._over() and (text := await self._next_line()) is not None:
            slash = parse_slash(text)
            if slash is None:
                if text.strip():
                    self._controller.submit(self._verbs.question(text))
                    self._controller.recorder.keep_draft("", ())
            elif slash[0] is None:
                self._transcript.say(no_such_command(slash[2], otherwise="/help lists them all."))
            else:
                await self._obey(slash[0], slash[1])
        await self._settled()
        for line in self._keep_unasked():
            self._transcript.say(f"not asked: {sanitize_line(line)}")

    async def _obey(self, command: Command, argument: str) -> None:
        """Obey commands about the running answer at once, others when nothing runs or waits.

        In a pipe, questions before /quit are answered first, as at the end of the lines.
        """
        if command.name not in AT_ONCE or (command.name == "quit" and not self._interactive):
            await self._settled()
        if not self._over():
            await self._commands.obey(command, argument)

    async def _next_line(self) -> str | None:
        """The next line, with its continuations; None at the end.

        A person gets a prompt when nothing runs; lines typed meanwhile count too.
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
        """Nothing runs, waits or can go on by itself."""
        controller = self._controller
        lost = controller.failure is not None and controller.failure.engine_lost
        resting = controller.phase in (Phase.READY, Phase.STOPPED, Phase.FAILED)
        return resting and not controller.arranging and (lost or not controller.queue)

    def _over(self) -> bool:
        return self._commands.left or self._code is not None or self._broken is not None

    def _on_change(self) -> None:
        try:
            self._transcript.report()
        except (OSError, MagistralError) as error:  # a closed terminal or pipe, a full disk behind it
            self._controller.on_change = self._changed.set
            self._broken = error
        self._changed.set()

    def _interrupt(self) -> None:
        if self._interactive and self._controller.phase.busy and not self._controller.stopping:
            self._controller.stop()
            return
        self._code = EXIT_INTERRUPTED
        self._changed.set()

    def _leave(self, code: int) -> None:
        """Save everything, then leave, on SIGHUP and SIGTERM."""
        self._keep_unasked()
        self._controller.recorder.save_now()
        self._controller.on_change = self._changed.set  # nobody may be listening any more
        with suppress(OSError):
            self._transcript.say("leaving: everything is kept")
        self._code = code
        self._changed.set()

    def _keep_unasked(self) -> list[str]:
        """Return the typed lines that were not asked; a person's lines are restored next time."""
        questions = self._controller.withdraw()
        unasked = [question.text for question in questions]
        while self._interactive and not self._lines.empty():
            unasked += [line for line in [self._lines.get_nowait()] if line]
        images = [each for question in questions for each in question.images] + self._verbs.tray.images
        if self._interactive and (unasked or images):
            self._controller.recorder.keep_draft("\n".join(unasked), images)
        return unasked

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
