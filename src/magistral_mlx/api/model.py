"""The public objects: `load` returns a `Magistral`, which answers questions and opens conversations.

Importing this module loads no MLX: the owner thread does, with the first model.
"""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Unpack
from weakref import WeakKeyDictionary

from magistral_mlx.api.async_stream import AsyncAnswerStream
from magistral_mlx.api.batch import answer_many, check_batch
from magistral_mlx.api.checks import check_kv_bits, check_system, check_whole
from magistral_mlx.api.conversation import MOST_STEPS, Conversation
from magistral_mlx.api.history import History
from magistral_mlx.api.options import AskOptions, checked
from magistral_mlx.api.owner_thread import owner_thread
from magistral_mlx.api.request import Question, checked_turns, continuation, read_images, user_turn
from magistral_mlx.api.stream import AnswerStream
from magistral_mlx.checkpoint import installed
from magistral_mlx.checkpoint.config import Quantization
from magistral_mlx.errors import UsageError
from magistral_mlx.events import Event, Reply
from magistral_mlx.prompt.chat import encode
from magistral_mlx.prompt.turns import UserTurn

if TYPE_CHECKING:
    import mlx.core as mx

    from magistral_mlx.generation.loaded_model import LoadedModel
    from magistral_mlx.prompt.images import ImageSource
    from magistral_mlx.prompt.turns import Message, Turn

__all__ = ["AnswerStream", "AskOptions", "AsyncAnswerStream", "Conversation", "Magistral", "load"]


def load(
    model: "str | os.PathLike[str] | None" = None,
    *,
    draft: "str | os.PathLike[str] | None" = None,
    kv_bits: int = 16,
    cache_bytes: int | None = None,
    wire: bool = False,
    progress: installed.Progress | None = None,
) -> "Magistral":
    """Load a model.

    Args:
        model: "miniature", a converted folder, or the name of an installed model. None: the best installed
            one, or the miniature if none is.
        draft: a smaller model with the same tokenizer, named in the same way, that drafts the next tokens.
            Replies stay the same, and come faster if it drafts well. None: drafts come from the text so far.
        kv_bits: width of the KV caches unless a conversation or a question says otherwise: 16 (the model's
            own dtype), 8 or 4; see `AskOptions`.
        cache_bytes: memory for the KV caches of idle conversations; the least recently used are dropped
            first. None: half of the memory that the weights leave on this machine.
        wire: keep weights and caches from being swapped, for the whole process; leaves the system 35 % of
            the memory and at least 8 GB. Off by default: it is linked to panics of whole machines.
        progress: called with the progress, on another thread.

    Raises:
        UsageError: kv_bits is impossible, this machine cannot wire memory, or `draft` has another tokenizer.
        CheckpointError: there is no such model, or its folder is not whole.
        MemoryLimitError: it does not fit this machine.
    """
    check_kv_bits(kv_bits)
    check_whole("cache_bytes", cache_bytes, least=0)
    loaded = owner_thread().call(
        lambda: _load(model, draft, progress, kv_bits=kv_bits, cache_bytes=cache_bytes, wire=wire)
    )
    return Magistral(loaded, kv_bits=kv_bits)


class Magistral:
    """A loaded model. May be used from any thread, and as a context manager that frees its memory.

    Made by `load`. Single questions (`ask`, `stream`) are independent of each other but share a cache: a
    second question about the same image does not read the image again.
    """

    def __init__(self, loaded: "LoadedModel", *, kv_bits: int = 16) -> None:
        checkpoint = loaded.checkpoint
        self._kv_bits = kv_bits
        self._loaded: LoadedModel | None = loaded
        self._single_questions = object()  # the owner of their KV cache
        self._replies = WeakKeyDictionary[Reply, History]()  # what `continue_` goes on with
        self.name = checkpoint.name
        """Its name for display."""
        self.path = checkpoint.directory
        """The converted folder."""
        self.context_length = loaded.context_length
        """Tokens of prompt and reply together."""
        self.sees = checkpoint.config.vision is not None
        """Whether it takes images."""
        self.geometry = loaded.geometry
        """How images become tokens; None if it takes none."""
        self.is_miniature = checkpoint.name == installed.MINIATURE
        """Whether it is the bundled miniature, which knows little."""
        self.size = loaded.size
        """Its memory needs; see `magistral_mlx.plan`."""
        self.weight_bytes = loaded.size.weight_bytes
        """Memory of the weights."""
        self.kv_bytes_per_token = loaded.size.kv_bytes_per_token(kv_bits)
        """Memory of one token in the KV cache, in the width that the model was loaded with."""
        self.quantization = _in_words(checkpoint.config.quantization)
        """Such as "4-bit affine, group 64"; None for unquantized weights."""

    def __repr__(self) -> str:
        about = [self.name, self.quantization or "unquantized", *([] if self._loaded else ["closed"])]
        return f"<Magistral {', '.join(about)}>"

    def ask(
        self,
        text: str,
        *,
        images: "Iterable[ImageSource]" = (),
        system: str | None = None,
        on_event: Callable[[Event], None] | None = None,
        run_tools: bool = False,
        max_steps: int = MOST_STEPS,
        **options: Unpack[AskOptions],
    ) -> Reply:
        """Ask one question, wait and return the reply.

        Args:
            text: the question; may be empty beside an image.
            images: paths, http(s) URLs, bytes of image files, or PIL images; they stand before the text.
            system: the user's own system text; the model's reasoning prompt is added to it.
            on_event: called with every event as it comes, on the thread that asks.
            run_tools: call the Python functions in `tools` when the model asks for them, on the thread that
                asks, and give it their results. An error in a function becomes its result.
            max_steps: most rounds of calls; after them the last reply is returned with `Ending.TOOL_CALLS`.
            options: see `AskOptions`: thinking, thinking_budget, max_tokens, temperature, top_p, seed, stop,
                schema, tools, speculation, logprobs, kv_bits.

        Raises:
            UsageError: an option is impossible, or the model was closed.
            PromptError: the question cannot be put (empty, an unreadable image, longer than the context).
            NetworkError: an image's URL does not answer.
        """
        if run_tools:
            check_system(system)
            chat = Conversation(self._history(system, replies=self._replies), sees=self.sees)
            return chat.ask(
                text, images=images, on_event=on_event, run_tools=True, max_steps=max_steps, **options
            )
        return self.stream(text, images=images, system=system, **options).reply(on_event)

    async def aask(
        self,
        text: str,
        *,
        images: "Iterable[ImageSource]" = (),
        system: str | None = None,
        **options: Unpack[AskOptions],
    ) -> Reply:
        """As `ask`, awaited; cancelling the task stops the answer."""
        return await self.astream(text, images=images, system=system, **options).reply()

    def astream(
        self,
        text: str,
        *,
        images: "Iterable[ImageSource]" = (),
        system: str | None = None,
        **options: Unpack[AskOptions],
    ) -> AsyncAnswerStream:
        """As `stream`, for `async for`; cancelling the task that reads stops the answer."""
        return AsyncAnswerStream(self.stream(text, images=images, system=system, **options))

    def stream(
        self,
        text: str,
        *,
        images: "Iterable[ImageSource]" = (),
        system: str | None = None,
        **options: Unpack[AskOptions],
    ) -> AnswerStream:
        """As `ask`, but gives the events of the reply as they come; the last one is `Finished`."""
        check_system(system)
        turn = user_turn(text, images, sees=self.sees)
        history = self._history(system, owner=self._single_questions, replies=self._replies)
        return AnswerStream(Question(history, checked(options), turn))

    def continue_(self, reply: Reply, max_tokens: int | None = None) -> Reply:
        """Continue a reply of `ask` or `stream` that was cut off, stopped or a loop; read nothing again.

        A conversation continues its last reply itself: `Conversation.continue_`.

        Args:
            reply: what `ask`, `stream` or this method gave.
            max_tokens: most new tokens; None: as many as the context leaves. The other options stay.

        Returns:
            The whole reply, old and new joined.

        Raises:
            UsageError: the reply is complete or empty, or is not of a single question to this model.
        """
        return self.continue_stream(reply, max_tokens).reply()

    def continue_stream(self, reply: Reply, max_tokens: int | None = None) -> AnswerStream:
        """As `continue_`, but gives the new events as they come; `Finished` has the joined reply."""
        history = self._replies.get(reply)
        if history is None:
            raise UsageError(
                "This reply is not of a single question to this model",
                "Take one that ask or stream gave; a conversation continues its own.",
            )
        again = history.branch(owner=history.owner)
        again.unfinished()
        return AnswerStream(continuation(again, max_tokens))

    def ask_many(
        self,
        questions: "Iterable[str | UserTurn] | str | UserTurn",
        *,
        system: str | None = None,
        batch_size: int = 8,
        on_reply: Callable[[int, Reply], None] | None = None,
        **options: Unpack[AskOptions],
    ) -> list[Reply]:
        """Ask independent questions and answer them side by side.

        Prompts are read one after the other; replies are written together. When one ends, the next question
        takes its place. Each reply equals that of the question asked alone, except for rounding.

        Args:
            questions: texts, or `UserTurn(text, images)` with images.
            system: as for `ask`; the same for all.
            batch_size: most replies at a time; memory for the KV cache grows with it.
            on_reply: called with the number of a question and its reply as soon as it is complete, on the
                model's thread. It should return soon and must not ask questions itself.
            options: as for `ask`, for all of them; without logprobs and kv_bits.

        Returns:
            The replies in the order of the questions.

        Raises:
            UsageError: an option is impossible.
            PromptError, NetworkError: as for `ask`, for any of the questions.
            MemoryLimitError: a prompt does not fit into memory.
            DeviceError: memory ran out meanwhile, or the GPU gave the work up; ask fewer at a time.
        """
        check_system(system)
        each = [questions] if isinstance(questions, str | UserTurn) else questions
        turns = [self._turn_of(question) for question in each]
        answered_by = checked(options)
        check_batch(answered_by, batch_size, on_reply)
        answered_by = replace(answered_by, kv_bits=16)
        asked = [Question(self._history(system), answered_by, turn) for turn in turns]
        stopping = threading.Event()
        return owner_thread().call(
            lambda: answer_many(self._require(), asked, stopping, batch_size=batch_size, on_reply=on_reply),
            on_interrupt=stopping.set,
        )

    def conversation(
        self, *, system: str | None = None, turns: "Iterable[Turn]" = (), kv_bits: int | None = None
    ) -> Conversation:
        """Open a conversation, in which each question continues what was said.

        Args:
            system: the user's own system text; the model's reasoning prompt is added to it.
            turns: the turns so far, as in `Conversation.turns`.
            kv_bits: width of its KV cache; None: as the model was loaded with.

        Raises:
            UsageError: kv_bits, a turn or the system text is impossible.
        """
        check_kv_bits(kv_bits)
        check_system(system)
        return Conversation(
            self._history(system, turns=checked_turns(turns), kv_bits=kv_bits), sees=self.sees
        )

    def load_conversation(self, path: "str | os.PathLike[str]") -> Conversation:
        """Open a conversation that `Conversation.save` wrote; nothing is read again.

        Raises:
            CacheFileError: the file is damaged, of another version or of another model.
            UsageError: the model was closed.
        """
        conversation = self.conversation()
        conversation.load_cache(path)
        return conversation

    def tokenize(self, messages: "Sequence[Message]") -> list[int]:
        """The ids that are sent for chat messages, exactly as mistral-common encodes them.

        Nothing is added: `ask` and conversations add the reasoning prompt to their messages beforehand.

        Args:
            messages: mistral-common's messages, or dicts of the same keys.

        Raises:
            PromptError: the format cannot express them.
        """
        return list(encode(self._require().tokenizer, messages).token_ids)

    def logits(self, token_ids: Sequence[int], images: "Iterable[ImageSource]" = ()) -> "mx.array":
        """Logits [tokens, vocab] after each position of a prompt given as ids; evaluated. For parity checks.

        Args:
            token_ids: the prompt.
            images: fill its [IMG] positions, in order.

        Raises:
            PromptError: an id outside the vocabulary, or [IMG] positions that the images do not fill.
        """
        images = read_images(images, sees=self.sees)

        def work() -> "mx.array":
            from magistral_mlx.generation.parity import prompt_logits

            return prompt_logits(self._require(), token_ids, images)

        return owner_thread().call(work)

    def close(self) -> None:
        """Free weights and caches. Questions asked afterwards raise UsageError. May be called again.

        A running reply ends here, as stopped.
        """
        owner_thread().call(self._free)

    def __enter__(self) -> "Magistral":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _require(self) -> "LoadedModel":
        if self._loaded is None:
            raise UsageError("This model was closed", "Load it again.")
        return self._loaded

    def _history(
        self,
        system: str | None,
        *,
        turns: "Iterable[Turn]" = (),
        kv_bits: int | None = None,
        owner: object | None = None,
        replies: "WeakKeyDictionary[Reply, History] | None" = None,
    ) -> History:
        return History(
            self._require,
            system=system,
            turns=turns,
            kv_bits=kv_bits or self._kv_bits,
            owner=owner,
            replies=replies,
        )

    def _turn_of(self, question: str | UserTurn) -> UserTurn:
        if isinstance(question, UserTurn):
            return user_turn(question.text, question.images, sees=self.sees)
        return user_turn(question, (), sees=self.sees)

    def _free(self) -> None:
        from magistral_mlx.memory.allocator import give_memory_back

        if self._loaded is not None:
            for running in tuple(self._loaded.running):
                running.end_here()
            self._loaded.caches.clear()
        self._loaded = None
        give_memory_back()


def _load(
    model: "str | os.PathLike[str] | None",
    draft: "str | os.PathLike[str] | None",
    progress: installed.Progress | None,
    *,
    kv_bits: int,
    cache_bytes: int | None,
    wire: bool,
) -> "LoadedModel":
    from magistral_mlx.generation.loaded_model import open_model, with_draft
    from magistral_mlx.memory.allocator import set_limits

    directory = installed.resolve(model, progress=progress)
    drafting = None if draft is None else installed.resolve(draft, progress=progress)
    set_limits(wire=wire)
    weights = progress and partial(progress, "Loading the weights")
    loaded = open_model(directory, kv_bits=kv_bits, cache_bytes=cache_bytes, progress=weights)
    if drafting is None:
        return loaded
    return with_draft(loaded, drafting, progress=progress and partial(progress, "Loading the draft model"))


def _in_words(quantization: Quantization | None) -> str | None:
    if quantization is None:
        return None
    return f"{quantization.bits}-bit {quantization.mode}, group {quantization.group_size}"
