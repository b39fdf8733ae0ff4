"""What a conversation is doing, in one word."""

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
