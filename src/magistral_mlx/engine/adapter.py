"""Our runtime as the engine's port; the only module of the engine that knows it."""

from typing import TYPE_CHECKING

from magistral_mlx.engine.port import EventStream, Report
from magistral_mlx.engine.protocol import AskRequest, EngineModel, Loading
from magistral_mlx.errors import EngineError, UsageError

if TYPE_CHECKING:
    from magistral_mlx.runtime import Conversation, Magistral


class MagistralRuntime:
    """Keeps the EngineRuntime port: one model, one conversation."""

    def __init__(self) -> None:
        self._model: Magistral | None = None
        self._conversation: Conversation | None = None

    def load(self, model: str | None, report: Report) -> EngineModel:
        """See EngineRuntime.load."""
        from magistral_mlx import runtime  # late: it is what takes the time

        def progress(stage: str, done: int, total: int) -> None:
            report(Loading(stage, done, total))

        self.close()  # never two models at once
        loaded = self._model = runtime.load(model, progress=progress)
        return EngineModel(
            name=loaded.name,
            path=str(loaded.path),
            is_miniature=loaded.is_miniature,
            context_length=loaded.context_length,
            quantization=loaded.quantization,
            vision=loaded.sees,
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
        )

    def new_conversation(self) -> None:
        """See EngineRuntime.new_conversation."""
        self._conversation = None

    def close(self) -> None:
        """See EngineRuntime.close."""
        self._conversation = None
        if self._model is not None:
            self._model.close()
            self._model = None

    def _conversation_for(self, system: str | None) -> "Conversation":
        if self._model is None:
            raise EngineError("No model is loaded", "Start the engine with a model first.")
        if self._conversation is None:
            self._conversation = self._model.conversation(system=system)
        elif self._conversation.system != system:
            raise UsageError(
                "A conversation keeps the system text that it began with",
                "Start a new conversation to change it.",
            )
        return self._conversation
