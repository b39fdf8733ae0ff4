"""Questions on their way to the model: checked, composed, encoded and begun on the owner thread."""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from magistral_mlx.api.history import Answered, History
from magistral_mlx.api.options import checked
from magistral_mlx.errors import ImageError, PromptError, UsageError
from magistral_mlx.events import Ending, Reply
from magistral_mlx.generation.options import Options
from magistral_mlx.prompt.chat import compose, encode
from magistral_mlx.prompt.images import load_image
from magistral_mlx.prompt.splicing import closed, opening, reply_marks, reply_spans, splice
from magistral_mlx.prompt.turns import AssistantTurn, PreparedPrompt, ToolTurn, Turn, UserTurn

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
        UsageError: the text is no string.
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
    """The turns of a conversation, checked, with copies of PIL images.

    Raises:
        UsageError: one of them is no turn.
    """
    from PIL import Image

    given = tuple(turns)
    for turn in given:
        if not isinstance(turn, UserTurn | AssistantTurn | ToolTurn):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
            raise UsageError(
                f"A turn is of type {type(turn).__name__}",
                "Give mm.UserTurn, mm.AssistantTurn and mm.ToolTurn, as Conversation.turns has them.",
            )

    def own(turn: Turn) -> Turn:
        if not isinstance(turn, UserTurn):
            return turn
        images = [image.copy() if isinstance(image, Image.Image) else image for image in turn.images]
        return replace(turn, images=tuple(images))

    return tuple(own(turn) for turn in given)


def read_images(images: "Iterable[ImageSource]", *, sees: bool) -> "tuple[Image.Image, ...]":
    """Read the images now: later changes to a file change nothing.

    A single image needs no list around it. Images that are read already stay as they are.

    Raises:
        ImageError: an image cannot be read, or the model cannot see.
        NetworkError: an image's URL does not answer.
    """
    from PIL import Image

    def own(source: "ImageSource") -> "Image.Image":
        image = load_image(source)
        # The caller may draw on theirs afterwards. A plain image equals its copies; one of a file does not.
        return image if type(image) is Image.Image and image is not source else image.copy()

    single = isinstance(images, str | bytes | os.PathLike | Image.Image)  # pyright: ignore[reportUnnecessaryIsInstance]  # as above
    sources = [cast("ImageSource", images)] if single else list(images)
    if sources and not sees:
        raise ImageError(
            "This model cannot see: its folder has no vision weights",
            "Ask without images, or use a model with its vision tower.",
        )
    return tuple(own(source) for source in sources)


class Question:
    """A question to a conversation; an `AnswerStream` runs it on the owner thread.

    A conversation may go on while the question waits for its turn, so it reads the turns only when it begins.

    Args:
        history: the conversation.
        options: how to answer.
        added: turns that come after those said before.
    """

    def __init__(self, history: History, options: Options, *added: Turn) -> None:
        self.history = history
        self._options = options
        self._added = added

    def turns(self) -> tuple[Turn, ...]:
        """The turns to answer."""
        return (*self.history.turns, *self._added)

    def unfinished(self) -> AssistantTurn | None:
        """The reply to go on with; None: a new one."""
        return None

    def begin(
        self, *, stopping: Callable[[], bool], steering: "Steering", asked_at: float
    ) -> "tuple[Answering, PromptCache]":
        """Compose and encode the prompt, take a KV cache, check memory.

        Raises:
            PromptError: the question cannot be put, or is too long (ContextOverflow).
            MemoryLimitError: it does not fit into memory.
            UsageError: the model was closed, or the conversation is still answering.
        """
        from magistral_mlx.generation.answering import Answering
        from magistral_mlx.generation.cache.prompt_cache import position_keys

        history = self.history
        loaded = history.model()
        history.claim()
        try:
            prompt, written = self._prompt(loaded)
            whole = replace(prompt, token_ids=(*prompt.token_ids, *written))
            kv_bits = self._options.kv_bits or history.kv_bits
            keys = position_keys(whole, image_id=loaded.tokenizer.special.image)
            cache = loaded.caches.take(keys, owner=history.owner, kv_bits=kv_bits)
            loaded.caches.make_room(len(keys) * loaded.kv_bytes_per_token(kv_bits))
            history.use(cache)
            try:
                answering = Answering(
                    loaded,
                    cache,
                    prompt,
                    self._options,
                    keys=keys,
                    written=written,
                    stopping=stopping,
                    steering=steering,
                    asked_at=asked_at,
                )
            except BaseException:
                loaded.caches.give_back(cache, owner=history.owner)  # a refusal costs nothing of it
                raise
        except BaseException:
            history.settle()
            raise
        return answering, cache

    def end(self, cache: "PromptCache", answering: "Answering | None", reply: Reply | None) -> None:
        """Give the KV cache back and add the reply to the conversation, unless there was an error."""
        history = self.history
        with suppress(UsageError):  # closed meanwhile: the cache goes with it
            history.model().caches.give_back(cache, owner=history.owner)
        history.settle()
        if reply is None or answering is None:
            return
        ids = _kept_ids(answering, reply)
        closing = answering.writing.closing_tokens
        own = ids[: len(ids) - closing] if closing < len(ids) else ids
        history.add(self.turns(), self._options, Answered(reply=reply, token_ids=ids, own_ids=own))

    def _prompt(self, loaded: "LoadedModel") -> tuple[PreparedPrompt, tuple[int, ...]]:
        """The prompt, and ids of the reply being continued."""
        special = loaded.tokenizer.special
        turns, begun = self.turns(), self.unfinished()
        prompt = splice(self._encoded(loaded, turns), turns, special)
        if begun is None:
            return prompt, ()
        if begun.token_ids:
            ids = begun.token_ids[len(opening(prompt.token_ids, special)) :]
            if begun.token_ids[-1] == special.eos:
                # The model ended its turn inside the thought; close the thought to let it answer.
                ids = closed(ids, special)[:-1]
            return prompt, ids
        # The chat format encodes a reply only if a question follows it.
        whole = self._encoded(loaded, (*turns, begun, UserTurn("?"))).token_ids
        *_, (start, stop) = reply_spans(whole, special)
        ids = whole[start : stop - 1]
        if not begun.answer and ids and ids[-1] == special.end_think:
            ids = ids[:-1]  # the thought was cut off: it goes on
        return prompt, ids

    def _encoded(self, loaded: "LoadedModel", turns: tuple[Turn, ...]) -> PreparedPrompt:
        messages = compose(
            turns,
            system=self.history.system,
            system_prompt=loaded.reasoning_prompt,
            thinking=self._options.thinking,
            marks=loaded.tokenizer.thought_marks,
        )
        return encode(loaded.tokenizer, messages, tools=cast("Any", self._options.tools))


class Edit(Question):
    """A question in place of an earlier turn and of all that came after it."""

    def __init__(self, history: History, options: Options, place: int, turn: UserTurn) -> None:
        super().__init__(history, options, turn)
        self._place = place

    def turns(self) -> tuple[Turn, ...]:
        """See Question.turns."""
        return (*self.history.turns[: self._place], *self._added)


class Repetition(Question):
    """The last question, asked again."""

    def turns(self) -> tuple[Turn, ...]:
        """See Question.turns."""
        return self.history.turns[: self.history.last_question() + 1]


class Continuation(Question):
    """The last reply, continued where it was cut off, stopped or found in a loop."""

    def turns(self) -> tuple[Turn, ...]:
        """See Question.turns."""
        return self.history.turns[:-1]

    def unfinished(self) -> AssistantTurn:
        """See Question.unfinished."""
        return self.history.unfinished()


def continuation(history: History, max_tokens: int | None) -> Continuation:
    """The last reply, continued with its own options by at most so many tokens.

    Raises:
        UsageError: `max_tokens` is impossible.
    """
    return Continuation(history, checked({"max_tokens": max_tokens}, history.options))


def _kept_ids(answering: "Answering", reply: Reply) -> tuple[int, ...]:
    """The ids of a reply; () if they differ from its text or hold control tokens that no reply should."""
    tokenizer = answering.tokenizer
    special, written = tokenizer.special, answering.writing.token_ids
    if special.think is None:  # thoughts are marked in text, which is encoded as such
        return ()
    usual = reply_marks(special)
    stopped = reply.ending is Ending.COMPLETE and written[-1:] != [special.eos]  # a stop string was cut off
    if stopped or any(tokenizer.is_control(token_id) and token_id not in usual for token_id in written):
        return ()
    return (*opening(answering.prompt.token_ids, special), *written)
