"""What a conversation is doing, in one word."""

from dataclasses import dataclass
from enum import StrEnum

from magistral_mlx.engine.protocol import Failed
from magistral_mlx.errors import MagistralError
from magistral_mlx.sanitize import sanitize, sanitize_line


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

    @classmethod
    def of(cls, event: Failed) -> "Failure":
        """What an engine says about it."""
        log = sanitize_line(event.log) if event.log else None
        return cls(sanitize(event.problem), sanitize(event.remedy), log, event.engine_lost)


def defect(error: Exception) -> Failed:
    """An error that nobody expected here, as an engine would tell it; the engine lives on."""
    if isinstance(error, MagistralError):
        return Failed(error.problem, error.remedy)
    return Failed(f"The app made a mistake: {type(error).__name__}: {error}", "Restart the engine.")
