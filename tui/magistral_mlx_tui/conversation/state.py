"""The state of a conversation, and its failures."""

from dataclasses import dataclass
from enum import StrEnum

from magistral_mlx.engine.protocol import Failed
from magistral_mlx.errors import MagistralError
from magistral_mlx.sanitize import sanitize, sanitize_line


class Phase(StrEnum):
    """The state; the value is the word on the screen."""

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
        """An answer is running."""
        return self in (Phase.READING, Phase.THINKING, Phase.ANSWERING, Phase.PAUSED)


@dataclass(frozen=True)
class Failure:
    """A failure, its remedy and the log's path; sanitized text."""

    problem: str
    remedy: str = ""
    log: str | None = None
    engine_lost: bool = False

    @classmethod
    def of(cls, event: Failed) -> "Failure":
        """Make one from an engine's event."""
        log = sanitize_line(event.log) if event.log else None
        return cls(sanitize(event.problem), sanitize(event.remedy), log, event.engine_lost)


def defect(error: Exception) -> Failed:
    """Turn an unexpected error into a failure that the engine survives."""
    if isinstance(error, MagistralError):
        return Failed(error.problem, error.remedy)
    return Failed(f"Unexpected error in the app: {type(error).__name__}: {error}", "Restart the engine.")
