"""Messages to ids and pictures: mistral-common's own pipeline, with our loader in front of every picture.

The pipeline is that of mistral-common's `MistralTokenizer.encode_chat_completion` (check, normalise,
encode). Its image encoder alone is wrapped, so that pictures come through `load_image` with config.json's
geometry, and mistral-common never opens a file or the network by itself.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from mistral_common.exceptions import MistralCommonException
from mistral_common.protocol.instruct.chunk import ImageChunk, ImageURLChunk
from mistral_common.protocol.instruct.messages import BaseMessage

# Both are generic over message classes, which their signatures leave open.
from mistral_common.protocol.instruct.normalize import get_normalizer  # pyright: ignore[reportUnknownVariableType]
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.protocol.instruct.tool_calls import Tool
from mistral_common.protocol.instruct.validator import (
    ValidationMode,
    get_validator,  # pyright: ignore[reportUnknownVariableType]
)
from mistral_common.tokens.tokenizers.base import Tokenized
from mistral_common.tokens.tokenizers.image import ImageConfig, ImageEncoder, ImageEncoding, SpecialImageIDs
from mistral_common.tokens.tokenizers.instruct import InstructTokenizerV13
from mistral_common.tokens.tokenizers.tekken import Tekkenizer
from pydantic import ValidationError

from magistral_mlx.errors import ImageError, PromptError
from magistral_mlx.prompt.chat import PreparedPrompt
from magistral_mlx.prompt.images import ImageGeometry, PreparedImage
from magistral_mlx.prompt.picture_files import load_image
from magistral_mlx.prompt.urls import scheme_of, shown_url
from magistral_mlx.sanitize import sanitize_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from magistral_mlx.prompt.chat import Message

ROLES = ("system", "user", "assistant", "tool")

Pipeline: TypeAlias = Callable[[Mapping[str, object]], Tokenized]
"""A request as a mapping (messages, tools) to ids and pictures; raises what mistral-common raises."""


def _pipeline(tekken: Tekkenizer, image_encoder: ImageEncoder) -> Pipeline:
    check = cast(Any, get_validator(tekken.version, ValidationMode.test))
    normalise = cast(Any, get_normalizer(tekken.version))
    instruct = InstructTokenizerV13(tekken, image_encoder=image_encoder)

    def run(request: Mapping[str, object]) -> Tokenized:
        checked = check.validate_request(cast(Any, ChatCompletionRequest.model_validate(request)))
        return instruct.encode_instruct(normalise.from_chat_completion_request(checked))

    return run


class MessageEncoder:
    """Messages to ids for one tokenizer; as `prompt.chat.encode` describes it."""

    def __init__(self, tekken: Tekkenizer, geometry: ImageGeometry | None) -> None:
        self._geometry = geometry
        self._image_id = tekken.get_special_token("[IMG]") if tekken.is_special("[IMG]") else None
        self._run = _pipeline(tekken, _image_encoder(tekken, geometry))

    def encode(
        self, messages: "Sequence[Message]", tools: Sequence[Tool | Mapping[str, Any]]
    ) -> PreparedPrompt:
        _check_roles(messages)
        try:
            plain = [dict(message) if isinstance(message, Mapping) else message for message in messages]
            encoded = self._run({"messages": plain, "tools": list(tools) or None})
        except ValidationError as error:
            raise PromptError(*_explained(error)) from error
        # mistral-common checks what it is given by its own errors, by assertions and by ValueErrors, and
        # reports base64 that holds no picture as a RuntimeError.
        except (MistralCommonException, AssertionError, ValueError, TypeError, RuntimeError) as error:
            problem = sanitize_line(str(error))[:200] or type(error).__name__
            raise PromptError(
                f"The messages cannot be encoded: {problem}", "Correct the messages."
            ) from error
        return self._prepared(encoded.tokens, encoded.images)

    def _prepared(self, token_ids: list[int], pictures: "list[NDArray[np.float32]]") -> PreparedPrompt:
        images: tuple[PreparedImage, ...] = ()
        if self._geometry is not None:
            prepare = partial(PreparedImage.from_pixels, geometry=self._geometry)
            images = tuple(prepare(np.ascontiguousarray(pixels)) for pixels in pictures)
        prompt = PreparedPrompt(token_ids=tuple(token_ids), images=images)
        positions = token_ids.count(self._image_id) if self._image_id is not None else 0
        if positions != prompt.image_tokens:
            raise PromptError(
                f"The prompt has {positions} picture positions, the pictures {prompt.image_tokens} features",
                "Report this: the tokenizer and the picture geometry of this model folder disagree.",
            )
        return prompt


class _GuardedImageEncoder(ImageEncoder):
    """mistral-common's image encoder behind our loader, with config.json's geometry."""

    def __call__(self, content: ImageChunk | ImageURLChunk) -> ImageEncoding:
        if isinstance(content, ImageChunk):
            return super().__call__(ImageChunk(image=load_image(content.image)))
        url = content.get_url()
        if scheme_of(url) is None:
            raise ImageError(
                f"The image_url {shown_url(url)} is no URL",
                "Give an http(s), data: or file: URL of the picture.",
            )
        return super().__call__(ImageChunk(image=load_image(url)))


class _BlindImageEncoder(ImageEncoder):
    """Stands where a checkpoint without vision has no encoder: pictures are refused, never ignored."""

    def __call__(self, content: ImageChunk | ImageURLChunk) -> ImageEncoding:
        raise ImageError(
            "This model cannot see: its folder has no vision weights",
            "Ask without pictures, or convert the model again from a source with its vision tower.",
        )


def _image_encoder(tekken: Tekkenizer, geometry: ImageGeometry | None) -> ImageEncoder:
    if geometry is None:
        return _BlindImageEncoder(ImageConfig(1, 1, 1), SpecialImageIDs(img=0, img_break=0, img_end=0))
    return _GuardedImageEncoder(
        ImageConfig(
            image_patch_size=geometry.patch_size,
            max_image_size=geometry.longest_edge,
            spatial_merge_size=geometry.spatial_merge_size,
        ),
        SpecialImageIDs(
            img=tekken.get_special_token("[IMG]"),
            img_break=tekken.get_special_token("[IMG_BREAK]"),
            img_end=tekken.get_special_token("[IMG_END]"),
        ),
    )


def _check_roles(messages: "Sequence[Message]") -> None:
    if not messages:
        raise PromptError("There are no messages", "Give at least one user message.")
    for number, message in enumerate(messages, start=1):
        role = _role(message, number)
        if role not in ROLES:
            raise PromptError(
                f'Message {number} has the role "{sanitize_line(str(role))[:40]}"',
                f"Use one of {', '.join(ROLES)}.",
            )


def _role(message: object, number: int) -> object:
    if isinstance(message, BaseMessage):
        return message.role
    if isinstance(message, Mapping):
        return cast(Mapping[object, object], message).get("role")
    raise PromptError(
        f"Message {number} is of type {type(message).__name__}",
        "Give a dict with role and content, or a message class of mistral-common.",
    )


def _explained(error: ValidationError) -> tuple[str, str]:
    """Problem and remedy for the first thing that is wrong with the form of messages or tools."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = [str(part) for part in first["loc"]]
    if place[:1] == ["messages"] and len(place) > 1 and place[1].isdecimal():
        where = f"Message {int(place[1]) + 1} ({'.'.join(place[2:])})"
    else:
        where = ".".join(place) or "The request"
    return f"{sanitize_line(where)[:120]}: {sanitize_line(first['msg'])[:200]}", "Correct the messages."
