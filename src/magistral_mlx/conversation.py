"""Turns with a model: each question continues what was said, and only what is new is read."""

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Unpack

from magistral_mlx.answer_stream import AnswerStream
from magistral_mlx.ask_options import AskOptions, CheckedOptions
from magistral_mlx.errors import UsageError
from magistral_mlx.generation.events import Reply, ToolCall
from magistral_mlx.prompt.chat import AssistantTurn, Turn, UserTurn
from magistral_mlx.question import Question, user_turn

if TYPE_CHECKING:
    from magistral_mlx.generation.loaded_model import LoadedModel
    from magistral_mlx.generation.prompt_cache import PromptCache
    from magistral_mlx.prompt.images import ImageSource


class Conversation:
    """A conversation with one model; made by `Magistral.conversation`.

    It keeps the turns and the KV cache behind them. Thoughts stay in the history, as Magistral was trained,
    which is also what lets the cache only grow. It may be used from several threads: `ask` waits for its
    turn, while a stream that is not read to its end keeps the conversation until it is closed.
    """

    def __init__(
        self,
        model: "Callable[[], LoadedModel]",
        *,
        system: str | None,
        sees: bool,
        turns: Iterable[Turn] = (),
        kv_bits: int = 16,
    ) -> None:
        self._model = model
        self._kv_bits = kv_bits
        self._system = system
        self._sees = sees
        self._turns: tuple[Turn, ...] = tuple(turns)
        self._cache: PromptCache | None = None
        self._busy = False

    @property
    def system(self) -> str | None:
        """The user's own system text; the model's reasoning prompt is added to it when it thinks."""
        return self._system

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Everything said, in order; a question without any reply (stopped at once) is not part of it."""
        return self._turns

    @property
    def context_used(self) -> int:
        """Tokens in the KV cache: all that was read and written, a running reply included."""
        return 0 if self._cache is None else len(self._cache)

    def ask(self, text: str, *, images: "Iterable[ImageSource]" = (), **options: Unpack[AskOptions]) -> Reply:
        """Asks, waits and gives the reply: as `Magistral.ask`, after everything said before."""
        return self.stream(text, images=images, **options).reply()

    def stream(
        self, text: str, *, images: "Iterable[ImageSource]" = (), **options: Unpack[AskOptions]
    ) -> AnswerStream:
        """Asks and gives the events of the reply as they come: as `Magistral.stream`."""
        turn = user_turn(text, images, sees=self._sees)
        return AnswerStream(
            Question(
                turn=turn,
                options=CheckedOptions(**options),
                system=self._system,
                model=self._model,
                history=lambda: self._turns,
                take_cache=self._take_cache,
                give_back=lambda _, reply: self._answered(turn, reply),
            )
        )

    @property
    def kv_bits(self) -> int:
        """The width of the KV cache: 16 (the model's own dtype), 8 or 4."""
        return self._kv_bits if self._cache is None else self._cache.kv_bits

    @property
    def kv_bytes(self) -> int:
        """Memory of the KV cache, spare room included."""
        return 0 if self._cache is None else self._cache.nbytes

    def forget_cache(self) -> None:
        """Frees the KV cache; the turns stay, and the next question reads them anew. On the owner thread."""
        self._kv_bits, self._cache = self.kv_bits, None

    def _take_cache(self) -> "PromptCache":
        from magistral_mlx.generation.prompt_cache import PromptCache

        if self._busy:
            raise UsageError(
                "This conversation is still answering", "Read its stream to the end, or close it."
            )
        if self._cache is None:
            self._cache = PromptCache(self._model().model, kv_bits=self._kv_bits)
        self._busy = True
        return self._cache

    def _answered(self, turn: UserTurn, reply: Reply | None) -> None:
        self._busy = False
        if reply is None or not (reply.reasoning or reply.answer or reply.tool_calls):
            return
        calls = tuple(call for call in reply.tool_calls if _is_json_object(call))
        self._turns = (*self._turns, turn, AssistantTurn(reply.reasoning, reply.answer, calls))


def _is_json_object(call: ToolCall) -> bool:
    """Whether the format can express the call; one with other arguments would spoil every later turn."""
    try:
        return isinstance(json.loads(call.arguments), dict)
    except ValueError:
        return False
