"""What the engine asks of a runtime: the port between them. `adapter.py` fits our runtime to it."""

from collections.abc import Callable
from typing import Protocol

from magistral_mlx.engine.protocol import AskRequest, EngineModel, Loading
from magistral_mlx.generation.events import Event

Report = Callable[[Loading], None]


class EventStream(Protocol):
    """A running answer; the last event is Finished."""

    def __iter__(self) -> "EventStream": ...

    def __next__(self) -> Event: ...

    def stop(self) -> None:
        """From any thread: end at the next token or prefill chunk with Finished, keeping what there is."""
        ...


class EngineRuntime(Protocol):
    """One model and one conversation. All calls come from one thread."""

    def load(self, model: str | None, report: Report) -> EngineModel:
        """Load a model and open an empty conversation; tells `report` how far it is.

        Raises:
            MagistralError: there is no such model, or it cannot be used here.
        """
        ...

    def stream(self, request: AskRequest) -> EventStream:
        """Answer in the conversation.

        Raises:
            MagistralError: here or while iterating: the question cannot be answered; the conversation stays
                as it was.
        """
        ...

    def new_conversation(self) -> None:
        """Forget all turns."""
        ...

    def close(self) -> None:
        """Free the model, if one is loaded."""
        ...
