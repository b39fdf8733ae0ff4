"""An engine at the end of a link: the user interface's side, for a child process and for threads alike.

Requests are numbered (turns), and every event carries the number of its request: a late event of a stopped
answer never shows up in the next one. A link only carries messages and tells when it is broken.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from itertools import count
from typing import Protocol

from msgspec.structs import replace

from magistral_mlx.engine.protocol import (
    AnswerNow,
    Ask,
    AskRequest,
    CacheDone,
    Continue,
    Done,
    EngineEvent,
    Failed,
    LoadCache,
    Loading,
    Message,
    NewConversation,
    OpenConversation,
    Opened,
    Pause,
    Progress,
    Ready,
    Resume,
    SaveCache,
    Start,
    Stop,
)
from magistral_mlx.engine.wire import Mailbox
from magistral_mlx.errors import EngineError
from magistral_mlx.storage.messages import SavedTurn

CLOSED = Failed("The engine was closed", "Start it again.", engine_lost=True)
_NOT_RUNNING = Failed("The engine is not running", "Start it, then ask again.", engine_lost=True)


class Link(Protocol):
    """A carrier of commands to a host and of its messages back."""

    async def open(self) -> None:
        """Start the host.

        Raises:
            EngineError: it could not be started.
        """
        ...

    def post(self, turn: int, command: Message) -> None:
        """Send a command; never blocks. A broken link drops it."""
        ...

    async def close(self) -> None:
        """End the host, even in the middle of work; may be called at any time."""
        ...


Deliver = Callable[[int, Message], None]
"""Called with each message that comes back, in the event loop."""
Lost = Callable[[Failed], None]
"""Called once, in the event loop, when the host is gone without `close`."""
MakeLink = Callable[[Deliver, Lost], Link]


class _Inbox:
    """Messages of one request, or between requests; written and read in the event loop."""

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
        """Yield the messages as they come, until the inbox is ended and empty."""
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
    """The Engine Protocol over a link; each start makes a new link.

    Args:
        make_link: builds a link that is not open yet.
    """

    def __init__(self, make_link: MakeLink) -> None:
        self._make_link = make_link
        self._link: Link | None = None
        self._turns = count(1)
        self._requests: dict[int, _Inbox] = {}
        self._between = _Inbox()
        self._told: Failed | None = None  # the engine's own words about its end

    async def start(self, model: str | None) -> AsyncIterator[Loading | Ready | Failed]:
        """See Engine.start."""
        await self._end_link()
        self._between.clear()
        self._told = None
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

    def ask(self, request: AskRequest) -> AsyncGenerator[EngineEvent, None]:
        """See Engine.ask."""
        return self._answer(Ask(request))

    def continue_(self, max_tokens: int | None = None) -> AsyncGenerator[EngineEvent, None]:
        """See Engine.continue_."""
        return self._answer(Continue(max_tokens))

    async def _answer(self, command: Ask | Continue) -> AsyncGenerator[EngineEvent, None]:
        if any(not inbox.stopped and not inbox.ended for inbox in self._requests.values()):
            raise EngineError("An answer is still running", "Stop it first.")
        if self._link is None:
            yield _NOT_RUNNING
            return
        link = self._link
        turn, inbox = self._new_request()
        link.post(turn, command)
        try:
            async for event in inbox.read():
                if isinstance(event, EngineEvent):
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
        for inbox in self._post_to_running(Stop()):
            inbox.stopped = True

    async def answer_now(self) -> None:
        """See Engine.answer_now."""
        self._post_to_running(AnswerNow())

    async def pause(self) -> None:
        """See Engine.pause."""
        self._post_to_running(Pause())

    async def resume(self, hint: str | None = None) -> None:
        """See Engine.resume."""
        self._post_to_running(Resume(hint))

    async def new_conversation(self) -> None:
        """See Engine.new_conversation."""
        await self.stop()
        if self._link is not None:
            self._link.post(next(self._turns), NewConversation())

    async def open_conversation(
        self, turns: Sequence[SavedTurn], *, system: str | None = None
    ) -> Failed | None:
        """See Engine.open_conversation."""
        await self.stop()
        outcome = await self._outcome(OpenConversation(tuple(turns), system))
        return outcome if isinstance(outcome, Failed) else None

    async def save_cache(self, path: str) -> CacheDone | Failed:
        """See Engine.save_cache."""
        outcome = await self._outcome(SaveCache(path))
        assert isinstance(outcome, CacheDone | Failed)
        return outcome

    async def load_cache(self, path: str) -> CacheDone | Failed:
        """See Engine.load_cache."""
        outcome = await self._outcome(LoadCache(path))
        assert isinstance(outcome, CacheDone | Failed)
        return outcome

    async def close(self) -> None:
        """See Engine.close."""
        await self._end_link()

    async def _outcome(self, command: Message) -> Message:
        """Return the one message that answers `command`, which waits for a running answer but stops none."""
        if self._link is None:
            return _NOT_RUNNING
        turn, inbox = self._new_request()
        inbox.stopped = True  # not an answer: the next question need not wait for it
        self._link.post(turn, command)
        try:
            return [message async for message in inbox.read()][-1]
        finally:
            self._requests.pop(turn, None)

    def _post_to_running(self, command: Message) -> list[_Inbox]:
        """Send `command` to the running requests; return their inboxes."""
        link = self._link
        if link is None:
            return []
        running = {turn: inbox for turn, inbox in self._requests.items() if not inbox.ended}
        for turn in running:
            link.post(turn, command)
        return list(running.values())

    def _new_request(self) -> tuple[int, _Inbox]:
        turn, inbox = next(self._turns), _Inbox(Ready, Done, Opened, CacheDone, Failed)
        self._requests[turn] = inbox
        return turn, inbox

    def _deliver(self, turn: int, message: Message) -> None:
        if isinstance(message, Failed) and message.engine_lost:
            self._told = message
        inbox = self._requests.get(turn)
        if inbox is not None and not inbox.ended:
            inbox.put(message)
        elif isinstance(message, Progress):
            self._between.put(message)

    def _lost(self, failed: Failed) -> None:
        self._link = None
        told, self._told = self._told, None
        running = [inbox for inbox in self._requests.values() if not inbox.ended]
        # An engine that told itself why it ends is not reported a second time.
        for inbox in running or ([] if told else [self._between]):
            inbox.put(told or failed)

    async def _end_link(self) -> None:
        link, self._link = self._link, None
        for inbox in self._requests.values():
            inbox.put(CLOSED)
        if link is not None:
            await link.close()
