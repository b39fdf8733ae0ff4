"""One question on its way to the model: composed, encoded and begun on the owner thread."""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from magistral_mlx.api.options import CheckedOptions
from magistral_mlx.errors import ImageError, PromptError, UsageError
from magistral_mlx.events import Ending, Reply
from magistral_mlx.prompt.chat import compose, encode
from magistral_mlx.prompt.images import load_image
from magistral_mlx.prompt.splicing import closed, opening, reply_marks, reply_spans, splice
from magistral_mlx.prompt.turns import AssistantTurn, PreparedPrompt, ToolTurn, Turn, UserTurn, as_tool_name

if TYPE_CHECKING:
    from PIL import Image

    from magistral_mlx.generation.answering import Answering
    from magistral_mlx.generation.cache.prompt_cache import PromptCache
    from magistral_mlx.generation.loaded_model import LoadedModel
    from magistral_mlx.generation.reply.steering import Steering
    from magistral_mlx.prompt.images import ImageSource


def user_turn(text: str, images: "Iterable[ImageSource]", *, sees: bool) -> UserTurn:
    """A checked question.

    Raises:
        UsageError: the text is no text.
        PromptError: neither text nor image.
        ImageError, NetworkError: as `read_images`.
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
        raise UsageError(f"The question is of type {type(text).__name__}", "Give a string.")
    images = read_images(images, sees=sees)
    if not text.strip() and not images:
        raise PromptError("The question is empty", "Write a question.")
    return UserTurn(text, images)


def checked_turns(turns: "Iterable[Turn]") -> tuple[Turn, ...]:
    """What was said before.

    Raises:
        UsageError: one of it is no turn.
    """
    checked = tuple(turns)
    for turn in checked:
        if not isinstance(turn, UserTurn | AssistantTurn | ToolTurn):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
            raise UsageError(
                f"A turn is of type {type(turn).__name__}",
                "Give mm.UserTurn, mm.AssistantTurn and mm.ToolTurn, as Conversation.turns has them.",
            )
    return checked


def read_images(images: "Iterable[ImageSource]", *, sees: bool) -> "tuple[Image.Image, ...]":
    """The images, read now: a file that changes later changes nothing.

    A single image without a list around it is taken as what is meant.

    Raises:
        ImageError: an image cannot be read, or the model cannot see.
        NetworkError: an image's URL does not answer.
    """
    from PIL import Image

    single = isinstance(images, str | bytes | os.PathLike | Image.Image)  # pyright: ignore[reportUnnecessaryIsInstance]  # as above
    sources = [cast("ImageSource", images)] if single else list(images)
    if sources and not sees:
        raise ImageError(
            "This model cannot see: its folder has no vision weights",
            "Ask without images, or use a model with its vision tower.",
        )
    return tuple(load_image(source) for source in sources)


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What came of a question."""

    reply: Reply
    token_ids: tuple[int, ...]
    """Everything of the reply as the model wrote it, what the prompt said of it already included; () if its
    text is to be encoded again."""
    own_ids: tuple[int, ...]
    """The same without the closing that a schema gave an answer for want of room."""

    @property
    def said(self) -> bool:
        """Whether anything came at all."""
        return bool(self.reply.reasoning or self.reply.answer or self.reply.tool_calls)

    def as_turn(self) -> AssistantTurn:
        """The reply as history: names of tools that the format can't express would spoil every later turn."""
        reply = self.reply
        calls = tuple(replace(call, name=as_tool_name(call.name)) for call in reply.tool_calls)
        ids = self.token_ids if calls == reply.tool_calls else ()
        return AssistantTurn(reply.reasoning, reply.answer, calls, ids)

    def as_unfinished(self) -> AssistantTurn:
        """The reply as what `continue_` goes on with: a value that was closed goes on inside."""
        return replace(self.as_turn(), token_ids=self.own_ids)

    def reply_that_goes_on(self, go_on: Callable[[int | None], Reply]) -> Reply:
        """The reply, with what its `continue_` does if it can go on."""
        can = self.said and not self.reply.ending.is_whole
        return replace(self.reply, going_on=go_on) if can else self.reply


@dataclass(frozen=True, kw_only=True)
class Question:
    """What an `AnswerStream` runs; its methods are called on the owner thread.

    The functions are those of whoever asks: they are called when the question's time has come, which may be
    after another one of the same conversation was answered.
    """

    options: CheckedOptions
    system: str | None
    model: "Callable[[], LoadedModel]"
    """Raises UsageError if it was closed."""
    turns: Callable[[], tuple[Turn, ...]]
    """The conversation, up to what is to be answered."""
    owner: object
    """Whose KV cache it is."""
    kv_bits: Callable[[], int]
    """The width of the KV cache when the options name none."""
    claim: Callable[[], None]
    """Called before anything else; raises UsageError if the owner is still answering."""
    settle: "Callable[[Answered | None], Reply | None]"
    """Called at the end of all that was claimed, without anything after an error; what the asker gets."""
    caching: "Callable[[PromptCache], None]" = lambda cache: None
    """Told which cache is in use."""
    unfinished: "Callable[[], AssistantTurn | None]" = lambda: None
    """The reply to go on with; None: a new one."""

    def begin(
        self, *, stopping: Callable[[], bool], steering: "Steering", asked_at: float
    ) -> "tuple[Answering, PromptCache]":
        """Composes and encodes the prompt.

        Raises:
            PromptError: the question cannot be put, or is too long (ContextOverflow).
            MemoryLimitError: it does not fit into memory.
            UsageError: the model was closed, or the conversation is still answering.
        """
        from magistral_mlx.generation.answering import Answering
        from magistral_mlx.generation.cache.prompt_cache import position_keys

        loaded = self.model()
        self.claim()
        try:
            prompt, written = self._prompt(loaded)
            whole = replace(prompt, token_ids=(*prompt.token_ids, *written))
            kv_bits = self.options.kv_bits or self.kv_bits()
            keys = position_keys(whole, image_id=loaded.tokenizer.special.image)
            cache = loaded.caches.take(keys, owner=self.owner, kv_bits=kv_bits)
            loaded.caches.make_room(len(keys) * loaded.kv_bytes_per_token(kv_bits))
            self.caching(cache)
            try:
                answering = Answering(
                    loaded,
                    cache,
                    prompt,
                    self.options.plan(),
                    written=written,
                    stopping=stopping,
                    steering=steering,
                    asked_at=asked_at,
                )
            except BaseException:
                loaded.caches.give_back(cache, owner=self.owner)  # a refusal costs nothing of it
                raise
        except BaseException:
            self.settle(None)
            raise
        return answering, cache

    def end(self, cache: "PromptCache", answering: "Answering | None", reply: Reply | None) -> Reply | None:
        """Gives everything back, with the reply unless there was an error; what the asker gets of it."""
        with suppress(UsageError):  # closed meanwhile: the cache goes with it
            self.model().caches.give_back(cache, owner=self.owner)
        if reply is None or answering is None:
            return self.settle(None)
        ids = _kept_ids(answering, reply)
        closing = answering.closing_tokens
        own = ids[: len(ids) - closing] if closing < len(ids) else ids
        return self.settle(Answered(reply=reply, token_ids=ids, own_ids=own))

    def _prompt(self, loaded: "LoadedModel") -> tuple[PreparedPrompt, tuple[int, ...]]:
        """What is read, and what of the reply stands after it already."""
        special = loaded.tokenizer.special
        turns, begun = self.turns(), self.unfinished()
        prompt = splice(self._encoded(loaded, turns), turns, special)
        if begun is None:
            return prompt, ()
        if begun.token_ids:
            ids = begun.token_ids[len(opening(prompt.token_ids, special)) :]
            if begun.token_ids[-1] == special.eos:
                # The model ended its turn inside the thought; the thought is closed, so that it answers.
                ids = closed(ids, special)[:-1]
            return prompt, ids
        # Only a reply that is followed by something is encoded.
        whole = self._encoded(loaded, (*turns, begun, UserTurn("?"))).token_ids
        *_, (start, stop) = reply_spans(whole, special)
        ids = whole[start : stop - 1]
        if not begun.answer and ids and ids[-1] == special.end_think:
            ids = ids[:-1]  # the thought was cut off: it goes on
        return prompt, ids

    def _encoded(self, loaded: "LoadedModel", turns: tuple[Turn, ...]) -> PreparedPrompt:
        messages = compose(
            turns,
            system=self.system,
            system_prompt=loaded.reasoning_prompt,
            thinking=self.options.thinking,
            marks=loaded.tokenizer.thought_marks,
        )
        return encode(loaded.tokenizer, messages, tools=cast("Any", self.options.tools))


def _kept_ids(answering: "Answering", reply: Reply) -> tuple[int, ...]:
    """The ids of a reply, if they say exactly what its text says and nothing that no reply should hold."""
    special, written = answering.special, answering.token_ids
    if special.think is None:  # thoughts are marked in text, which is encoded as such
        return ()
    usual = reply_marks(special)
    stopped = reply.ending is Ending.COMPLETE and written[-1:] != [special.eos]  # a stop string was cut off
    if stopped or any(answering.is_control(token_id) and token_id not in usual for token_id in written):
        return ()
    return (*opening(answering.prompt.token_ids, special), *written)
