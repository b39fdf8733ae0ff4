"""One question on its way to the model: composed, encoded and begun on the owner thread."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from magistral_mlx.ask_options import CheckedOptions
from magistral_mlx.errors import ImageError, PromptError, UsageError
from magistral_mlx.generation.events import Reply
from magistral_mlx.prompt.chat import Turn, UserTurn, compose, encode
from magistral_mlx.prompt.images import load_image

if TYPE_CHECKING:
    from PIL import Image

    from magistral_mlx.generation.answering import Answering
    from magistral_mlx.generation.loaded_model import LoadedModel
    from magistral_mlx.generation.prompt_cache import PromptCache
    from magistral_mlx.generation.steering import Steering
    from magistral_mlx.prompt.images import ImageSource


def user_turn(text: str, images: "Iterable[ImageSource]", *, sees: bool) -> UserTurn:
    """A checked question.

    Raises:
        UsageError: the text is no text.
        PromptError: neither text nor picture.
        ImageError, NetworkError: as `read_pictures`.
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
        raise UsageError(f"The question is of type {type(text).__name__}", "Give a string.")
    pictures = read_pictures(images, sees=sees)
    if not text.strip() and not pictures:
        raise PromptError("The question is empty", "Write a question.")
    return UserTurn(text, pictures)


def read_pictures(images: "Iterable[ImageSource]", *, sees: bool) -> "tuple[Image.Image, ...]":
    """The pictures, read now: a file that changes later changes nothing.

    A single picture without a list around it is taken as what is meant.

    Raises:
        ImageError: a picture cannot be read, or the model cannot see.
        NetworkError: a picture's URL does not answer.
    """
    from PIL import Image

    single = isinstance(images, str | bytes | os.PathLike | Image.Image)  # pyright: ignore[reportUnnecessaryIsInstance]  # as above
    sources = [cast("ImageSource", images)] if single else list(images)
    if sources and not sees:
        raise ImageError(
            "This model cannot see: its folder has no vision weights",
            "Ask without pictures, or use a model with its vision tower.",
        )
    return tuple(load_image(source) for source in sources)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What an `AnswerStream` runs; its methods are called on the owner thread.

    The functions are those of whoever asks: they are called when the question's time has come, which may be
    after another one of the same conversation was answered.
    """

    turn: UserTurn
    options: CheckedOptions
    system: str | None
    model: "Callable[[], LoadedModel]"
    """Raises UsageError if it was closed."""
    history: Callable[[], tuple[Turn, ...]]
    """The turns before this one."""
    take_cache: "Callable[[], PromptCache]"
    """The cache to use until `give_back`; raises UsageError if another question still uses it."""
    give_back: "Callable[[PromptCache, Reply | None], None]"
    """Takes the cache back, with the reply unless there was an error."""
    kv_bits: int | None = None
    """The width of the KV cache when the options name none; None: as the cache is."""

    def begin(
        self, *, stopping: Callable[[], bool], steering: "Steering", asked_at: float
    ) -> "tuple[Answering, PromptCache]":
        """Composes and encodes the prompt.

        Raises:
            PromptError: the question cannot be put, or is too long (ContextOverflow).
            UsageError: the model was closed, or the conversation is still answering.
        """
        from magistral_mlx.generation.answering import Answering

        loaded, options = self.model(), self.options
        cache = self.take_cache()
        try:
            kv_bits = options.kv_bits or self.kv_bits
            if kv_bits is not None:
                cache.use_bits(kv_bits)
            messages = compose(
                (*self.history(), self.turn),
                system=self.system,
                system_prompt=loaded.reasoning_prompt,
                thinking=options.thinking,
                marks=loaded.tokenizer.thought_marks,
            )
            prompt = encode(loaded.tokenizer, messages, tools=options.tools)
            answering = Answering(
                loaded,
                cache,
                prompt,
                options.plan(),
                stopping=stopping,
                steering=steering,
                asked_at=asked_at,
            )
        except BaseException:
            self.give_back(cache, None)
            raise
        return answering, cache
