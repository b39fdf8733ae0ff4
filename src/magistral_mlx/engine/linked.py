"""An engine at the end of a link: the face's side, the same for a child process and for a thread.

Requests are numbered (turns); every event comes back with the number of its request, so that a late event of
a stopped answer never shows up in the next one. A link only carries messages and says when it is broken.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace
from itertools import count
from typing import Protocol

from magistral_mlx.engine.mailbox import Mailbox
from magistral_mlx.engine.protocol import (
    Answer,
    Ask,
    AskRequest,
    Done,
    EngineEvent,
    Failed,
    Loading,
    Message,
    NewConversation,
    Prefill,
    Progress,
    Ready,
    Reasoning,
    Start,
    Stop,
)
from magistral_mlx.errors import EngineError

CLOSED = Failed("The engine was closed", "Start it again.", engine_lost=True)
_NOT_RUNNING = Failed("The engine is not running", "Start it, then ask again.", engine_lost=True)


class Link(Protocol):
    """What carries commands to a host and its messages back."""

    async def open(self) -> None:
        """Bring the host up.

        Raises:
            EngineError: it could not be started.
        """
        ...

    def post(self, turn: int, command: Message) -> None:
        """Send a command; never blocks, and a broken link swallows it."""
        ...

    async def close(self) -> None:
        """Bring the host down, whatever it is doing; may be called at any time."""
        ...


Deliver = Callable[[int, Message], None]
"""Takes each message that comes back, in the event loop."""
Lost = Callable[[Failed], None]
"""Told once, in the event loop, when the host is gone without `close`."""
MakeLink = Callable[[Deliver, Lost], Link]


class _Inbox:
    """Messages of one request, or of the time between requests; written and read in the event loop."""

    def __init__(self, *last: type[Message]) -> None:
        self._last = last
        self._ready = asyncio.Event()
        self._mailbox = Mailbox(self._ready.set)
        self.stopped = False
        self.ended = False

    def put(self, message: Message) -> None:
        if not self.ended:
            self._mailbox.put(0, message)
            self.ended = isinstance(message, self._last)

    def clear(self) -> None:
        self._mailbox.take()

    async def read(self) -> AsyncIterator[Message]:
        """The messages as they come, until the inbox is ended and empty."""
        while True:
            taken = self._mailbox.take()
            for _, message in taken:
                yield message
            if not taken:
                if self.ended:
                    return
                await self._ready.wait()
                self._ready.clear()


class LinkedEngine:
    """Keeps the Engine Protocol over a link; each start makes a new link.

    Args:
        make_link: builds a link that is not open yet.
    """

    def __init__(self, make_link: MakeLink) -> None:
        self._make_link = make_link
        self._link: Link | None = None
        self._turns = count(1)
        self._requests: dict[int, _Inbox] = {}
        self._between = _Inbox()

    async def start(self, model: str | None) -> AsyncIterator[Loading | Ready | Failed]:
        """See Engine.start."""
        await self._end_link()
        self._between.clear()
        link = self._make_link(self._deliver, self._lost)
        self._link = link
        turn, inbox = self._new_request()
        ready = False
        try:
            await link.open()
            link.post(turn, Start(model))
            async for event in inbox.read():
                ready = isinstance(event, Ready)
                if isinstance(event, Failed):
                    yield replace(event, engine_lost=True)
                elif isinstance(event, Loading | Ready):
                    yield event
        except EngineError as error:
            yield Failed(error.problem, error.remedy, engine_lost=True)
        finally:
            self._requests.pop(turn, None)
            if not ready and self._link is link:
                await self._end_link()

    async def ask(self, request: AskRequest) -> AsyncGenerator[EngineEvent, None]:
        """See Engine.ask."""
        if any(not inbox.stopped and not inbox.ended for inbox in self._requests.values()):
            raise EngineError("An answer is still running", "Stop it first.")
        if self._link is None:
            yield _NOT_RUNNING
            return
        link = self._link
        turn, inbox = self._new_request()
        link.post(turn, Ask(request))
        try:
            async for event in inbox.read():
                if isinstance(event, Prefill | Reasoning | Answer | Progress | Done | Failed):
                    yield event
        finally:
            if not inbox.ended:
                link.post(turn, Stop())
            self._requests.pop(turn, None)

    async def watch(self) -> AsyncIterator[Progress | Failed]:
        """See Engine.watch."""
        async for event in self._between.read():
            if isinstance(event, Progress | Failed):
                yield event

    async def stop(self) -> None:
        """See Engine.stop."""
        for turn, inbox in self._requests.items():
            if self._link is not None and not inbox.ended:
                inbox.stopped = True
                self._link.post(turn, Stop())

    async def new_conversation(self) -> None:
        """See Engine.new_conversation."""
        await self.stop()
        if self._link is not None:
            self._link.post(next(self._turns), NewConversation())

    async def close(self) -> None:
        """See Engine.close."""
        await self._end_link()

    def _new_request(self) -> tuple[int, _Inbox]:
        turn, inbox = next(self._turns), _Inbox(Ready, Done, Failed)
        self._requests[turn] = inbox
        return turn, inbox

    def _deliver(self, turn: int, message: Message) -> None:
        inbox = self._requests.get(turn)
        if inbox is not None and not inbox.ended:
            inbox.put(message)
        elif isinstance(message, Progress):
            self._between.put(message)

    def _lost(self, failed: Failed) -> None:
        self._link = None
        running = [inbox for inbox in self._requests.values() if not inbox.ended]
        for inbox in running or [self._between]:
            inbox.put(failed)

    async def _end_link(self) -> None:
        link, self._link = self._link, None
        for inbox in self._requests.values():
            inbox.put(CLOSED)
        if link is not None:
            await link.close()
