"""Answers for asyncio, awaited or as a stream. Cancelling the task stops the answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from magistral_mlx.api.stream import AnswerStream
from magistral_mlx.events import Event, Reply

T = TypeVar("T")


class AsyncAnswerStream(AsyncIterator[Event]):
    """The events of one reply for `async for`; the last one is `Finished`.

    Made by `astream`. It never blocks the event loop: it waits on a thread of its own. When the task that
    reads is cancelled, the reply ends at the next token, and a conversation keeps what there is.
    """

    def __init__(self, stream: AnswerStream) -> None:
        self._stream = stream
        self._waiter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="magistral-mlx-stream")
        self._left = False

    def __aiter__(self) -> "AsyncAnswerStream":
        return self

    async def __anext__(self) -> Event:
        """The next event; errors as those of `AnswerStream`."""
        if self._left:
            raise StopAsyncIteration
        event = await self._wait(lambda: next(self._stream, None))
        if event is None:
            self._leave()
            raise StopAsyncIteration
        return event

    async def __aenter__(self) -> "AsyncAnswerStream":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the reply here; the stream gives nothing more."""
        self._stream.stop()
        if not self._left:
            await self._wait(self._stream.close)
        self._leave()

    async def reply(self) -> Reply:
        """Run to the end and return the reply."""
        reply = await self._wait(self._stream.reply)
        self._leave()
        return reply

    def stop(self) -> None:
        """As `AnswerStream.stop`."""
        self._stream.stop()

    def answer_now(self) -> None:
        """As `AnswerStream.answer_now`."""
        self._stream.answer_now()

    def pause(self) -> None:
        """As `AnswerStream.pause`."""
        self._stream.pause()

    def resume(self, hint: str | None = None) -> None:
        """As `AnswerStream.resume`."""
        self._stream.resume(hint)

    async def _wait(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._waiter, work)
        except asyncio.CancelledError:
            self._stream.stop()
            closing = loop.run_in_executor(self._waiter, self._stream.close)
            try:
                # The reply ends at its next token; then the conversation is free for the next question. A
                # question that has not begun needs no waiting.
                if self._stream.begun:
                    await asyncio.shield(closing)
            finally:
                self._leave()
            raise

    def _leave(self) -> None:
        self._left = True
        self._waiter.shutdown(wait=False)
