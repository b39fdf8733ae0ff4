"""Conversations: each question continues the turns before it, and only new tokens are read."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from magistral_mlx.api.async_stream import AsyncAnswerStream
from magistral_mlx.api.history import History
from magistral_mlx.api.options import AskOptions, checked
from magistral_mlx.api.owner_thread import owner_thread
from magistral_mlx.api.request import Edit, Question, Repetition, continuation, user_turn
from magistral_mlx.api.stream import AnswerStream
from magistral_mlx.api.tools import each_tool, python_tools, run
from magistral_mlx.errors import UsageError
from magistral_mlx.events import Ending, Event, Reply
from magistral_mlx.prompt.turns import AssistantTurn, ToolTurn, Turn, UserTurn

if TYPE_CHECKING:
    from magistral_mlx.prompt.images import ImageSource

MOST_STEPS = 8
"""Default limit of rounds of tool calls."""


class Conversation:
    """A conversation with one model; made by `Magistral.conversation`.

    The conversation keeps the turns; the model keeps the KV cache behind them, within its limit. The cache
    only grows: thoughts stay in the history, as Magistral was trained, and earlier replies keep the token ids
    that the model wrote. Several threads may use a conversation: `ask` waits for its turn. A stream keeps the
    conversation until it is read to its end or closed.
    """

    def __init__(self, history: History, *, sees: bool) -> None:
        self._history = history
        self._sees = sees

    @property
    def system(self) -> str | None:
        """The user's own system text; the model's reasoning prompt is added to it when it thinks."""
        return self._history.system

    @property
    def turns(self) -> tuple[Turn, ...]:
        """All turns, in order, without a question that was stopped before its reply began."""
        return self._history.turns

    @property
    def context_used(self) -> int:
        """Tokens read and written, including those of a running reply; 0 once the model is closed."""
        history = self._history
        if history.running is not None:
            return len(history.running)
        return history.context_used if history.caches is not None else 0

    @property
    def kv_bits(self) -> int:
        """The width of the KV cache: 16 (the model's own dtype), 8 or 4."""
        return self._history.kv_bits

    @property
    def kv_bytes(self) -> int:
        """Memory of the KV cache in bytes, spare room included; 0 if others took its place."""
        cache, caches = self._history.running, self._history.caches
        if cache is None and caches is not None:
            cache = caches.held(self._history.owner)
        return 0 if cache is None else cache.nbytes

    def ask(
        self,
        text: str,
        *,
        images: "Iterable[ImageSource]" = (),
        on_event: Callable[[Event], None] | None = None,
        run_tools: bool = False,
        max_steps: int = MOST_STEPS,
        **options: Unpack[AskOptions],
    ) -> Reply:
        """Ask and return the reply, as `Magistral.ask` does, after the turns so far."""
        if run_tools:
            options["tools"] = each_tool(options.get("tools", ()))  # asked for again at each step
        stream = self.stream(text, images=images, **options)
        if run_tools:
            return answer_with_tools(self, stream, options, max_steps=max_steps, on_event=on_event)
        return stream.reply(on_event)

    async def aask(
        self, text: str, *, images: "Iterable[ImageSource]" = (), **options: Unpack[AskOptions]
    ) -> Reply:
        """As `ask`, awaited. Cancelling the task stops the answer; the conversation keeps what there is."""
        return await self.astream(text, images=images, **options).reply()

    def astream(
        self, text: str, *, images: "Iterable[ImageSource]" = (), **options: Unpack[AskOptions]
    ) -> AsyncAnswerStream:
        """As `stream`, for `async for`."""
        return AsyncAnswerStream(self.stream(text, images=images, **options))

    def answer_results(self, *results: ToolTurn, **options: Unpack[AskOptions]) -> AnswerStream:
        """Give the model the results of its tool calls, one per call of the last reply, and answer.

        Args:
            results: by the names of the calls, in any order.
            options: as for `ask`; the tools again, if more of them may be called.

        Raises:
            PromptError: on the first event: calls and results don't match.
        """
        return AnswerStream(Question(self._history, checked(options), *results))

    def stream(
        self, text: str, *, images: "Iterable[ImageSource]" = (), **options: Unpack[AskOptions]
    ) -> AnswerStream:
        """Ask and return the events of the reply as they come, as `Magistral.stream` does."""
        turn = user_turn(text, images, sees=self._sees)
        return AnswerStream(Question(self._history, checked(options), turn))

    def continue_(self, max_tokens: int | None = None) -> Reply:
        """Continue the last reply, which was cut off, stopped or a loop; read nothing again.

        Args:
            max_tokens: most new tokens; None: as many as the context leaves. The other options stay.

        Returns:
            The whole reply, old and new joined; it takes the place of the old one in `turns`.

        Raises:
            UsageError: the last reply is complete, or there is none.
        """
        return self.continue_stream(max_tokens).reply()

    def continue_stream(self, max_tokens: int | None = None) -> AnswerStream:
        """As `continue_`, but gives the new events as they come; `Finished` has the joined reply."""
        return AnswerStream(continuation(self._history, max_tokens))

    def regenerate(self, **options: Unpack[AskOptions]) -> Reply:
        """Ask the last question again and replace its reply; `options` change its options.

        Raises:
            UsageError: nothing was asked yet.
        """
        return self.regenerate_stream(**options).reply()

    def regenerate_stream(self, **options: Unpack[AskOptions]) -> AnswerStream:
        """As `regenerate`, but gives the events of the reply as they come."""
        self._history.last_question()
        return AnswerStream(Repetition(self._history, checked(options, self._history.options)))

    def edit(
        self,
        turn_index: int,
        text: str,
        *,
        images: "Iterable[ImageSource]" = (),
        **options: Unpack[AskOptions],
    ) -> Reply:
        """Replace an earlier question; the turns after it are dropped.

        Until there is a reply, the conversation stays as it was.

        Args:
            turn_index: of the question in `turns`.
            text: the new question.
            images: its images; those of the old question are dropped.
            options: as for `ask`.

        Raises:
            UsageError: there is no question at that place.
            PromptError, ImageError, NetworkError: as for `ask`.
        """
        return self.edit_stream(turn_index, text, images=images, **options).reply()

    def edit_stream(
        self,
        turn_index: int,
        text: str,
        *,
        images: "Iterable[ImageSource]" = (),
        **options: Unpack[AskOptions],
    ) -> AnswerStream:
        """As `edit`, but gives the events of the reply as they come."""
        turn = user_turn(text, images, sees=self._sees)
        questions = [index for index, each in enumerate(self.turns) if isinstance(each, UserTurn)]
        if turn_index not in questions:
            raise UsageError(
                f"Turn {turn_index!r} is no question of this conversation",
                f"Give one of {', '.join(map(str, questions))}." if questions else "Ask one first.",
            )
        return AnswerStream(Edit(self._history, checked(options), turn_index, turn))

    def branch(self) -> "Conversation":
        """Another conversation with the same turns; both go on from here without knowing of each other.

        The KV cache so far is shared until either is asked; then the other one's is copied as far as needed.
        """
        return Conversation(self._history.branch(), sees=self._sees)

    def save(self, path: "str | os.PathLike[str]") -> int:
        """Save turns, images and the KV cache to a file, for `Magistral.load_conversation`.

        The file is written whole or not at all. Only you can read it. Its size is about `kv_bytes`.

        Returns:
            Its size in bytes.

        Raises:
            UsageError: an answer is running, or the model was closed.
            CacheFileError: the file cannot be written.
        """
        return owner_thread().call(lambda: self._save(Path(path)))

    def load_cache(self, path: "str | os.PathLike[str]") -> int:
        """Load the KV cache of a file that `save` wrote, and the token ids of turns that are the same.

        An empty conversation becomes the saved one. Otherwise the turns stay, and the cache is used for the
        turns that both begin with.

        Returns:
            The size of the file in bytes.

        Raises:
            UsageError: an answer is running, or the model was closed.
            CacheFileError: the file is damaged, of another version or of another model.
        """
        return owner_thread().call(lambda: self._load_cache(Path(path)))

    def forget_cache(self) -> None:
        """Free the KV cache. The turns stay; the next question reads them again.

        The cache of an answer that is running stays until the next call.
        """
        owner_thread().call(self._forget_cache)

    def _forget_cache(self) -> None:
        caches = self._history.caches
        if caches is not None:
            caches.forget(self._history.owner)
        self._history.context_used = 0

    def _save(self, path: Path) -> int:
        from magistral_mlx.api.saved_conversation import SavedConversation
        from magistral_mlx.generation.cache.cache_file import write_cache
        from magistral_mlx.generation.cache.prompt_cache import PromptCache

        history = self._history
        loaded = history.idle_model()
        cache = loaded.caches.held(history.owner) or PromptCache(loaded.model, kv_bits=history.kv_bits)
        saved = SavedConversation(
            history.system, history.turns, history.options, history.ending, history.unfinished_ids
        )
        text, images = saved.to_parts()
        return write_cache(path, cache, identity=loaded.identity, text=text, arrays=images)

    def _load_cache(self, path: Path) -> int:
        from magistral_mlx.api.saved_conversation import common_turns, from_parts
        from magistral_mlx.generation.cache.cache_file import read_cache

        history = self._history
        loaded = history.idle_model()
        file = read_cache(path, loaded.model, identity=loaded.identity)
        saved = from_parts(file.text, file.arrays, loaded.tokenizer)
        if not history.turns:
            history.system, history.turns = saved.system, saved.turns
            history.context_used = len(file.cache)
        else:
            same = common_turns(history.turns, saved.turns)
            history.turns = (*saved.turns[:same], *history.turns[same:])
        if len(history.turns) == len(saved.turns) == common_turns(history.turns, saved.turns):
            history.resume(saved.options, saved.ending, saved.unfinished)
        history.kv_bits = file.cache.kv_bits
        loaded.caches.give_back(file.cache, owner=history.owner)
        return file.nbytes


def answer_with_tools(
    conversation: "Conversation",
    stream: "AnswerStream",
    options: "AskOptions",
    *,
    max_steps: int,
    on_event: Callable[[Event], None] | None = None,
) -> Reply:
    """Run `stream` to its reply, call the tools that the model asks for, and answer until it asks for none.

    Raises:
        UsageError: `options` has tools that are no functions, or `max_steps` is negative.
    """
    if max_steps < 0:
        raise UsageError(f"max_steps is {max_steps}", "Give a number of rounds, 0 or more.")
    tools = python_tools(options.get("tools", ()))
    reply = stream.reply(on_event)
    for _ in range(max_steps):
        if reply.ending is not Ending.TOOL_CALLS:
            break
        answered = conversation.turns[-1]
        calls = answered.tool_calls if isinstance(answered, AssistantTurn) else ()
        if not calls:  # the mark of a call, and nothing after it
            break
        reply = conversation.answer_results(*run(tools, calls), **options).reply(on_event)
    return reply
