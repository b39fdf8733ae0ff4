"""Our runtime as the engine's port; the only module of the engine that knows it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from magistral_mlx.api.request import user_turn
from magistral_mlx.engine.protocol import AskRequest, EngineModel, Loading, SavedTurn
from magistral_mlx.errors import EngineError, UsageError
from magistral_mlx.events import ContextSegments, Event
from magistral_mlx.prompt.turns import AssistantTurn, Turn

if TYPE_CHECKING:
    from magistral_mlx.api.model import Conversation, Magistral


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
            MagistralError: an image cannot be read; the conversation stays as it was.
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


class MagistralRuntime:
    """Keeps the EngineRuntime port: one model, one conversation.

    Args:
        kv_bits: width of the KV caches, unless a request says otherwise.
        wire: keep the model from being swapped; see `magistral_mlx.load`.
    """

    def __init__(self, *, kv_bits: int = 16, wire: bool = False) -> None:
        self._kv_bits = kv_bits
        self._wire = wire
        self._model: Magistral | None = None
        self._conversation: Conversation | None = None

    @property
    def kv_bytes(self) -> int | None:
        """See EngineRuntime.kv_bytes."""
        if self._model is None:
            return None
        return 0 if self._conversation is None else self._conversation.kv_bytes

    def load(self, model: str | None, report: Report) -> EngineModel:
        """See EngineRuntime.load."""
        from magistral_mlx.api import model as runtime

        def progress(stage: str, done: int, total: int) -> None:
            report(Loading(stage, done, total))

        self.close()  # never two models at once
        loaded = self._model = runtime.load(model, kv_bits=self._kv_bits, wire=self._wire, progress=progress)
        return EngineModel(
            name=loaded.name,
            path=str(loaded.path),
            is_miniature=loaded.is_miniature,
            context_length=loaded.context_length,
            quantization=loaded.quantization,
            vision=loaded.sees,
            kv_bytes_per_token=loaded.kv_bytes_per_token,
            weight_bytes=loaded.weight_bytes,
            geometry=loaded.geometry,
        )

    def stream(self, request: AskRequest) -> EventStream:
        """See EngineRuntime.stream."""
        return self._conversation_for(request.system).stream(
            request.text,
            images=request.images,
            thinking=request.thinking,
            thinking_budget=request.thinking_budget,
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            seed=request.seed,
            kv_bits=request.kv_bits,
        )

    def continue_(self, max_tokens: int | None) -> EventStream:
        """See EngineRuntime.continue_."""
        if self._conversation is None:
            raise UsageError("There is no reply to go on with", "Ask a question first.")
        return self._conversation.continue_stream(max_tokens)

    def new_conversation(self) -> None:
        """See EngineRuntime.new_conversation."""
        self._conversation = None

    def open_conversation(self, turns: Sequence[SavedTurn], system: str | None) -> None:
        """See EngineRuntime.open_conversation."""
        model = self._require_model()
        said: list[Turn] = []
        for turn in turns:
            said.append(user_turn(turn.question, turn.images, sees=model.sees))
            if turn.reasoning or turn.answer:
                said.append(AssistantTurn(turn.reasoning, turn.answer))
        self._conversation = model.conversation(system=system, turns=said)

    def save_cache(self, path: str) -> int:
        """See EngineRuntime.save_cache."""
        if self._conversation is None or not self._conversation.turns:
            raise UsageError("There is no conversation to save", "Ask a question first.")
        return self._conversation.save(path)

    def load_cache(self, path: str) -> int:
        """See EngineRuntime.load_cache."""
        if self._conversation is None:
            self._conversation = self._require_model().conversation()
        return self._conversation.load_cache(path)

    def close(self) -> None:
        """See EngineRuntime.close."""
        self._conversation = None
        if self._model is not None:
            self._model.close()
            self._model = None

    def _require_model(self) -> "Magistral":
        if self._model is None:
            raise EngineError("No model is loaded", "Start the engine with a model first.")
        return self._model

    def _conversation_for(self, system: str | None) -> "Conversation":
        model = self._require_model()
        if self._conversation is None:
            self._conversation = model.conversation(system=system)
        elif self._conversation.system != system:
            raise UsageError(
                "A conversation keeps the system text that it began with",
                "Start a new conversation to change it.",
            )
        return self._conversation
