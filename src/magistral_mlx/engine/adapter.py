"""The Python API behind the engine's commands: one model, one conversation."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from magistral_mlx.api.request import user_turn
from magistral_mlx.engine.protocol import AskRequest, EngineModel, Loading
from magistral_mlx.errors import EngineError, UsageError
from magistral_mlx.prompt.turns import AssistantTurn, Turn
from magistral_mlx.storage.messages import SavedTurn

if TYPE_CHECKING:
    from magistral_mlx.api.model import Conversation, Magistral
    from magistral_mlx.api.stream import AnswerStream


class MagistralRuntime:
    """One model and one conversation. All calls come from one thread.

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
        """Memory of the conversation's KV cache, spare room included; None without a model.

        Read it only between two events of a stream.
        """
        if self._model is None:
            return None
        return 0 if self._conversation is None else self._conversation.kv_bytes

    def load(self, model: str | None, report: Callable[[Loading], None]) -> EngineModel:
        """Load a model and open an empty conversation; `report` hears the progress.

        Raises:
            MagistralError: there is no such model, or it cannot be used here.
        """
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

    def stream(self, request: AskRequest) -> "AnswerStream":
        """Answer in the conversation.

        Raises:
            MagistralError: here or while iterating: the question cannot be answered; the conversation stays
                as it was.
        """
        conversation = self._conversation_for(request.system)
        return conversation.stream(request.text, images=request.images, **request.options.chosen())

    def continue_(self, max_tokens: int | None) -> "AnswerStream":
        """Continue the last reply of the conversation; Finished has the joined one.

        Raises:
            MagistralError: as `stream`, or there is no reply to continue.
        """
        if self._conversation is None:
            raise UsageError("There is no reply to go on with", "Ask a question first.")
        return self._conversation.continue_stream(max_tokens)

    def new_conversation(self) -> None:
        """Forget all turns."""
        self._conversation = None

    def open_conversation(self, turns: Sequence[SavedTurn], system: str | None) -> None:
        """Make the conversation exactly these turns.

        Raises:
            MagistralError: an image cannot be read; the conversation stays as it was.
        """
        model = self._require_model()
        said: list[Turn] = []
        for turn in turns:
            said.append(user_turn(turn.question, turn.images, sees=model.sees))
            if turn.reasoning or turn.answer:
                said.append(AssistantTurn(turn.reasoning, turn.answer))
        self._conversation = model.conversation(system=system, turns=said)

    def save_cache(self, path: str) -> int:
        """Write the conversation with its KV cache; return the size of the file in bytes.

        Raises:
            MagistralError: there is nothing to save, or it cannot be written.
        """
        if self._conversation is None or not self._conversation.turns:
            raise UsageError("There is no conversation to save", "Ask a question first.")
        return self._conversation.save(path)

    def load_cache(self, path: str) -> int:
        """Read a KV cache that `save_cache` wrote; return the size of the file in bytes.

        Raises:
            MagistralError: the file is damaged, of another version or of another model.
        """
        if self._conversation is None:
            self._conversation = self._require_model().conversation()
        return self._conversation.load_cache(path)

    def close(self) -> None:
        """Free the model, if one is loaded."""
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
                "The system text of a conversation cannot change",
                "Start a new conversation with the new text.",
            )
        return self._conversation
