"""Turns with a model: each question continues what was said, and only what is new is read."""

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from magistral_mlx.api.async_stream import AsyncAnswerStream
from magistral_mlx.api.options import AskOptions, CheckedOptions
from magistral_mlx.api.owner_thread import owner_thread
from magistral_mlx.api.request import Answered, Question, user_turn
from magistral_mlx.api.stream import AnswerStream
from magistral_mlx.api.tools import each_tool, python_tools, run
from magistral_mlx.errors import UsageError
from magistral_mlx.events import Ending, Event, Reply
from magistral_mlx.prompt.turns import AssistantTurn, ToolTurn, Turn, UserTurn

if TYPE_CHECKING:
    from magistral_mlx.generation.cache.cache_store import CacheStore
    from magistral_mlx.generation.cache.prompt_cache import PromptCache
    from magistral_mlx.generation.loaded_model import LoadedModel
    from magistral_mlx.prompt.images import ImageSource

MOST_STEPS = 8
"""Rounds of tool calls unless the caller says otherwise."""


class Conversation:
    """A conversation with one model; made by `Magistral.conversation`.

    It keeps the turns; the KV cache behind them is kept by the model, within its bound, and only ever grows:
    thoughts stay in the history, as Magistral was trained, and earlier replies go in as the model wrote them,
    id by id. A conversation may be used from several threads: `ask` waits for its turn, while a stream that
    is not read to its end keeps the conversation until it is closed.
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
        self._options = CheckedOptions()  # those of the last question
        self._ending: Ending | None = None  # of the last reply; None: not known
        self._unfinished: AssistantTurn | None = None  # the last reply, as `continue_` takes it up
        self._replies = 0
        self._owner = object()  # stands for this conversation in the store of KV caches
        self._running: PromptCache | None = None
        self._context_used = 0
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
        """Tokens of all that was read and written, a running reply included; 0 once the model is closed."""
        running = self._running
        if running is not None:
            return len(running)
        return self._context_used if self._caches() is not None else 0

    @property
    def kv_bits(self) -> int:
        """The width of the KV cache: 16 (the model's own dtype), 8 or 4."""
        return self._kv_bits

    @property
    def kv_bytes(self) -> int:
        """Memory of the KV cache, spare room included; 0 where it had to make room for others."""
        cache, caches = self._running, self._caches()
        if cache is None and caches is not None:
            cache = caches.held(self._owner)
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
        """Asks, waits and gives the reply: as `Magistral.ask`, after everything said before."""
        if run_tools:
            options["tools"] = each_tool(options.get("tools", ()))  # asked for again at each step
        stream = self.stream(text, images=images, **options)
        if run_tools:
            return answer_with_tools(self, stream, options, max_steps=max_steps, on_event=on_event)
        return stream.reply(on_event)

    async def aask(
        self, text: str, *, images: "Iterable[ImageSource]" = (), **options: Unpack[AskOptions]
    ) -> Reply:
        """As `ask`, awaited; cancelling the task stops the answer, and what was produced is kept."""
        return await self.astream(text, images=images, **options).reply()

    def astream(
        self, text: str, *, images: "Iterable[ImageSource]" = (), **options: Unpack[AskOptions]
    ) -> AsyncAnswerStream:
        """As `stream`, for `async for`."""
        return AsyncAnswerStream(self.stream(text, images=images, **options))

    def answer_results(self, *results: ToolTurn, **options: Unpack[AskOptions]) -> AnswerStream:
        """Gives the model what its tools gave back, one result per call of the last reply, and answers.

        Args:
            results: by the names of the calls, in any order.
            options: as for `ask`; the tools again, if more of them may be called.

        Raises:
            PromptError: on the first event: calls and results don't match.
        """
        return self._answer(lambda: (*self._turns, *results), CheckedOptions.of(options))

    def stream(
        self, text: str, *, images: "Iterable[ImageSource]" = (), **options: Unpack[AskOptions]
    ) -> AnswerStream:
        """Asks and gives the events of the reply as they come: as `Magistral.stream`."""
        turn = user_turn(text, images, sees=self._sees)
        return self._answer(lambda: (*self._turns, turn), CheckedOptions.of(options))

    def continue_(self, max_tokens: int | None = None) -> Reply:
        """Goes on with the last reply, which was cut off, stopped or a loop; reads nothing again.

        Args:
            max_tokens: most tokens to come; None: what the context leaves. All else is as it was asked.

        Returns:
            The whole reply, old and new joined; it takes the place of the old one in `turns`.

        Raises:
            UsageError: the last reply is complete, or there is none.
        """
        return self.continue_stream(max_tokens).reply()

    def continue_stream(self, max_tokens: int | None = None) -> AnswerStream:
        """As `continue_`, but gives the new events as they come; `Finished` has the joined reply."""
        return self._answer(
            lambda: self._turns[:-1],
            replace(self._options, max_tokens=max_tokens),
            unfinished=self._unfinished_reply,
        )

    def regenerate(self, **options: Unpack[AskOptions]) -> Reply:
        """Asks the last question again, in place of its reply; `options` change how it was asked.

        Raises:
            UsageError: nothing was asked yet.
        """
        return self.regenerate_stream(**options).reply()

    def regenerate_stream(self, **options: Unpack[AskOptions]) -> AnswerStream:
        """As `regenerate`, but gives the events of the reply as they come."""
        self._last_question()
        again = self._options.changed(options)
        return self._answer(lambda: self._turns[: self._last_question() + 1], again)

    def edit(
        self,
        turn_index: int,
        text: str,
        *,
        images: "Iterable[ImageSource]" = (),
        **options: Unpack[AskOptions],
    ) -> Reply:
        """Asks another question in place of an earlier one; what was said after that is gone.

        Until there is a reply, the conversation stays as it was.

        Args:
            turn_index: of the question in `turns`.
            text: the new question.
            images: its images; those of the old question are not taken over.
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
        questions = [index for index, each in enumerate(self._turns) if isinstance(each, UserTurn)]
        if turn_index not in questions:
            raise UsageError(
                f"Turn {turn_index!r} is no question of this conversation",
                f"Give one of {', '.join(map(str, questions))}." if questions else "Ask one first.",
            )
        return self._answer(lambda: (*self._turns[:turn_index], turn), CheckedOptions.of(options))

    def branch(self) -> "Conversation":
        """Another conversation with the same turns; both go on from here without knowing of each other.

        The KV cache so far is shared until either is asked; then the other one's is copied as far as needed.
        """
        branch = Conversation(
            self._model, system=self._system, sees=self._sees, turns=self._turns, kv_bits=self._kv_bits
        )
        branch._options, branch._ending = self._options, self._ending
        branch._unfinished = self._unfinished
        branch._context_used = self._context_used
        return branch

    def save(self, path: "str | os.PathLike[str]") -> int:
        """Writes the turns, images included, and the KV cache to a file, for `Magistral.load_conversation`.

        The file is written whole or not at all, readable for you alone, and of about `kv_bytes`.

        Returns:
            Its size in bytes.

        Raises:
            UsageError: an answer is running, or the model was closed.
            CacheFileError: the file cannot be written.
        """
        return owner_thread().call(lambda: self._save(Path(path)))

    def load_cache(self, path: "str | os.PathLike[str]") -> int:
        """Takes the KV cache of a file that `save` wrote; of turns that are the same, also the ids.

        An empty conversation becomes the saved one. Otherwise the turns stay as they are, and the cache
        serves as far as they begin like the saved ones.

        Returns:
            The size of the file in bytes.

        Raises:
            UsageError: an answer is running, or the model was closed.
            CacheFileError: the file is damaged, of another version or of another model.
        """
        return owner_thread().call(lambda: self._load_cache(Path(path)))

    def forget_cache(self) -> None:
        """Frees the KV cache; the turns stay, and the next question reads them anew.

        The cache of an answer that is running stays until the next call.
        """
        owner_thread().call(self._forget_cache)

    def _forget_cache(self) -> None:
        caches = self._caches()
        if caches is not None:
            caches.forget(self._owner)
        self._context_used = 0

    def _save(self, path: Path) -> int:
        from magistral_mlx.api.saved_conversation import SavedConversation
        from magistral_mlx.generation.cache.cache_file import write_cache
        from magistral_mlx.generation.cache.prompt_cache import PromptCache

        loaded = self._rest()
        cache = loaded.caches.held(self._owner) or PromptCache(loaded.model, kv_bits=self._kv_bits)
        text, images = SavedConversation(self._system, self._turns).to_parts()
        return write_cache(path, cache, identity=loaded.identity, text=text, arrays=images)

    def _load_cache(self, path: Path) -> int:
        from magistral_mlx.api.saved_conversation import common_turns, from_parts
        from magistral_mlx.generation.cache.cache_file import read_cache

        loaded = self._rest()
        file = read_cache(path, loaded.model, identity=loaded.identity)
        saved = from_parts(file.text, file.arrays, loaded.tokenizer)
        if not self._turns:
            self._system, self._turns = saved.system, saved.turns
            self._context_used = len(file.cache)
        else:
            same = common_turns(self._turns, saved.turns)
            self._turns = (*saved.turns[:same], *self._turns[same:])
        self._kv_bits = file.cache.kv_bits
        loaded.caches.give_back(file.cache, owner=self._owner)
        return file.nbytes

    def _rest(self) -> "LoadedModel":
        if self._busy:
            raise UsageError(
                "This conversation is still answering", "Read its stream to the end, or close it."
            )
        return self._model()

    def _answer(
        self,
        turns: Callable[[], tuple[Turn, ...]],
        options: CheckedOptions,
        *,
        unfinished: Callable[[], AssistantTurn | None] = lambda: None,
    ) -> AnswerStream:
        return AnswerStream(
            Question(
                options=options,
                system=self._system,
                model=self._model,
                turns=turns,
                owner=self._owner,
                kv_bits=lambda: self._kv_bits,
                claim=self._claim,
                caching=self._caching,
                settle=lambda answered: self._settle(turns, options, answered),
                unfinished=unfinished,
            )
        )

    def _caches(self) -> "CacheStore | None":
        try:
            return self._model().caches
        except UsageError:  # the model was closed
            return None

    def _claim(self) -> None:
        if self._busy:
            raise UsageError(
                "This conversation is still answering", "Read its stream to the end, or close it."
            )
        self._busy = True

    def _caching(self, cache: "PromptCache") -> None:
        self._running, self._kv_bits = cache, cache.kv_bits

    def _settle(
        self, turns: Callable[[], tuple[Turn, ...]], options: CheckedOptions, answered: Answered | None
    ) -> Reply | None:
        if self._running is not None:
            self._context_used = len(self._running)
        self._running = None
        self._busy = False
        if answered is None:
            return None
        if not answered.said:
            return answered.reply
        self._turns = (*turns(), answered.as_turn())
        self._options = options
        self._ending = answered.reply.ending
        self._unfinished = answered.as_unfinished()
        self._replies += 1
        number = self._replies

        def go_on(max_tokens: int | None) -> Reply:
            if number != self._replies:
                raise UsageError("The conversation has gone on since this reply", "Ask the next question.")
            return self.continue_(max_tokens)

        return answered.reply_that_goes_on(go_on)

    def _unfinished_reply(self) -> AssistantTurn:
        last = self._turns[-1] if self._turns else None
        if not isinstance(last, AssistantTurn):
            raise UsageError("There is no reply to go on with", "Ask a question first.")
        if self._ending is not None and self._ending.is_whole:
            raise UsageError(
                f"The last reply cannot go on: it is {self._ending.value}", "Ask the next question."
            )
        return last if self._unfinished is None else self._unfinished

    def _last_question(self) -> int:
        questions = [index for index, turn in enumerate(self._turns) if isinstance(turn, UserTurn)]
        if not questions:
            raise UsageError("There is no question to ask again", "Ask one first.")
        return questions[-1]


def answer_with_tools(
    conversation: "Conversation",
    stream: "AnswerStream",
    options: "AskOptions",
    *,
    max_steps: int,
    on_event: Callable[[Event], None] | None = None,
) -> Reply:
    """Runs `stream` of `conversation` to its reply, and further ones as long as the model calls tools.

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
