"""What a conversation is doing, in one word, and what can go wrong with it."""

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """What is going on; the value is the word that people see."""

    LOADING = "loading"
    READY = "ready"
    READING = "reading"
    THINKING = "thinking"
    ANSWERING = "answering"
    PAUSED = "paused"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def busy(self) -> bool:
        """Whether an answer is being made."""
        return self in (Phase.READING, Phase.THINKING, Phase.ANSWERING, Phase.PAUSED)


@dataclass(frozen=True)
class Failure:
    """What broke, what to do, and where to read more; harmless text."""

    problem: str
    remedy: str = ""
    log: str | None = None
    engine_lost: bool = False
