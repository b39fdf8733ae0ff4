"""What the engine asks of a runtime: the port between them. `adapter.py` fits our runtime to it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from magistral_mlx.engine.protocol import AskRequest, EngineModel, Loading, SavedTurn
from magistral_mlx.generation.events import ContextSegments, Event

Report = Callable[[Loading], None]


class EventStream(Protocol):
    """A running answer; the last event is Finished."""

    def __iter__(self) -> "EventStream": ...

    def __next__(self) -> Event: ...

    def stop(self) -> None:
        """From any thread: end at the next token or prefill chunk with Finished, keeping what there is."""
        ...

    def answer_now(self) -> None:
        """From any thread: close the running thought, and answer."""
        ...

    def pause(self) -> None:
        """From any thread: give Paused and then nothing until `resume` or `stop`."""
        ...

    def resume(self, hint: str | None = None) -> None:
        """From any thread: go on, with the hint written into the thought if one is open."""
        ...

    @property
    def segments(self) -> ContextSegments | None:
        """What the prompt is made of; None until it is known."""
        ...


class EngineRuntime(Protocol):
    """One model and one conversation. All calls come from one thread."""

    @property
    def kv_bytes(self) -> int | None:
        """Memory of the conversation's KV cache, spare room included; None without a model. Never asked while
        an event is waited for."""
        ...

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

    def continue_(self, max_tokens: int | None) -> EventStream:
        """Go on with the last reply of the conversation; Finished has the joined one.

        Raises:
            MagistralError: as `stream`, or there is no reply to go on with.
        """
        ...

    def new_conversation(self) -> None:
        """Forget all turns."""
        ...

    def open_conversation(self, turns: Sequence[SavedTurn], system: str | None) -> None:
        """The conversation becomes these turns.

        Raises:
            MagistralError: a picture cannot be read; the conversation stays as it was.
        """
        ...

    def save_cache(self, path: str) -> int:
        """Write the conversation with its KV cache; its bytes.

        Raises:
            MagistralError: there is nothing to save, or it cannot be written.
        """
        ...

    def load_cache(self, path: str) -> int:
        """Take a KV cache that `save_cache` wrote; its bytes.

        Raises:
            MagistralError: the file is damaged, of another version or of another model.
        """
        ...

    def close(self) -> None:
        """Free the model, if one is loaded."""
        ...
