"""The use of an engine, in a few words."""

import asyncio
from collections.abc import Callable

from magistral_mlx.engine.protocol import (
    Answer,
    AskRequest,
    Done,
    Engine,
    EngineEvent,
    Failed,
    Ready,
    Reasoning,
)


async def start(engine: Engine, model: str | None = None) -> Ready | Failed:
    """Start `engine`; return the last event."""
    events = [event async for event in engine.start(model)]
    last = events[-1]
    assert isinstance(last, Ready | Failed)
    return last


async def ask(engine: Engine, script: str) -> list[EngineEvent]:
    """Return all events of one answer."""
    return [event async for event in engine.ask(AskRequest(script))]


async def reply_to(engine: Engine, script: str) -> Done:
    """Return the Done of an answer that must not fail."""
    last = (await ask(engine, script))[-1]
    assert isinstance(last, Done), last
    return last


async def failure_of(engine: Engine, script: str) -> Failed:
    """Return the Failed of an answer that must fail."""
    last = (await ask(engine, script))[-1]
    assert isinstance(last, Failed), last
    return last


def thought(events: list[EngineEvent]) -> tuple[str, int]:
    """Return text and tokens of all pieces of the reasoning."""
    pieces = [event for event in events if isinstance(event, Reasoning)]
    return "".join(piece.text for piece in pieces), sum(piece.tokens for piece in pieces)


def answer(events: list[EngineEvent]) -> tuple[str, int]:
    """Return text and tokens of all pieces of the answer."""
    pieces = [event for event in events if isinstance(event, Answer)]
    return "".join(piece.text for piece in pieces), sum(piece.tokens for piece in pieces)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for `condition`; the test's own timeout is the limit."""
    while not condition():
        await asyncio.sleep(0.01)
