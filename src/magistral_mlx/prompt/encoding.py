"""Messages to ids and images: mistral-common's own pipeline, with our loader in front of every image.

The pipeline is that of mistral-common's `MistralTokenizer.encode_chat_completion` (check, normalise,
encode). Its image encoder alone is ours (`prompt.image_encoder`), so that mistral-common never opens a
file or the network by itself.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from mistral_common.exceptions import MistralCommonException
from mistral_common.protocol.instruct.messages import BaseMessage

# Both are generic over message classes, which their signatures leave open.
from mistral_common.protocol.instruct.normalize import get_normalizer  # pyright: ignore[reportUnknownVariableType]
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.protocol.instruct.tool_calls import Tool
from mistral_common.protocol.instruct.validator import (
    ValidationMode,
    get_validator,  # pyright: ignore[reportUnknownVariableType]
)
from mistral_common.tokens.tokenizers.base import Tokenized, TokenizerVersion
from mistral_common.tokens.tokenizers.instruct import (
    InstructTokenizerV7,
    InstructTokenizerV11,
    InstructTokenizerV13,
)
from mistral_common.tokens.tokenizers.tekken import Tekkenizer
from pydantic import ValidationError

from magistral_mlx.errors import PromptError
from magistral_mlx.prompt.image_encoder import CachedImageEncoder, ImageRecorder
from magistral_mlx.prompt.images import ImageGeometry, PreparedImage
from magistral_mlx.prompt.turns import PreparedPrompt
from magistral_mlx.sanitize import sanitize_line

if TYPE_CHECKING:
    from magistral_mlx.prompt.turns import Message

INSTRUCT = {
    TokenizerVersion.v7: InstructTokenizerV7,
    TokenizerVersion.v11: InstructTokenizerV11,
    TokenizerVersion.v13: InstructTokenizerV13,
}
"""Chat formats: Magistral Small 1.1 and 1.2 have v13; 1.0 an older one, without marks for thoughts."""

ROLES = ("system", "user", "assistant", "tool")


class MessageEncoder:
    """Messages to ids for one tokenizer; as `prompt.chat.encode` describes it."""

    def __init__(self, tekken: Tekkenizer, geometry: ImageGeometry | None) -> None:
        self._tekken = tekken
        self._image_id = tekken.get_special_token("[IMG]") if tekken.is_special("[IMG]") else None
        self._images = CachedImageEncoder(tekken, geometry)
        self._check = cast(Any, get_validator(tekken.version, ValidationMode.test))
        self._normalise = cast(Any, get_normalizer(tekken.version))
        # Built once here too, because it looks the control tokens of the chat format up.
        self._instruct = INSTRUCT[tekken.version]
        self._instruct(tekken)

    def encode(
        self, messages: "Sequence[Message]", tools: Sequence[Tool | Mapping[str, Any]]
    ) -> PreparedPrompt:
        _check_roles(messages)
        if tools and self._tekken.version is not TokenizerVersion.v13:
            raise PromptError(
                f"Tool calls of the chat format {self._tekken.version.value} are not read",
                "Ask without tools, or use Magistral Small 1.1 or 1.2.",
            )
        images = ImageRecorder(self._images)
        try:
            encoded = self._encoded(messages, tools, images)
        except ValidationError as error:
            raise PromptError(*_explained(error)) from error
        # mistral-common checks what it is given by its own errors, by assertions and by ValueErrors, and
        # reports base64 that holds no image as a RuntimeError.
        except (MistralCommonException, AssertionError, ValueError, TypeError, RuntimeError) as error:
            problem = sanitize_line(str(error))[:200] or type(error).__name__
            raise PromptError(
                f"The messages cannot be encoded: {problem}", "Correct the messages."
            ) from error
        return self._prepared(encoded.tokens, tuple(images.prepared))

    def _encoded(
        self,
        messages: "Sequence[Message]",
        tools: Sequence[Tool | Mapping[str, Any]],
        images: ImageRecorder,
    ) -> Tokenized:
        plain = [dict(message) if isinstance(message, Mapping) else message for message in messages]
        request = {"messages": plain, "tools": list(tools) or None}
        checked = self._check.validate_request(cast(Any, ChatCompletionRequest.model_validate(request)))
        instruct = self._instruct(self._tekken, image_encoder=images)
        return instruct.encode_instruct(self._normalise.from_chat_completion_request(checked))

    def _prepared(self, token_ids: list[int], images: tuple[PreparedImage, ...]) -> PreparedPrompt:
        prompt = PreparedPrompt(token_ids=tuple(token_ids), images=images)
        positions = token_ids.count(self._image_id) if self._image_id is not None else 0
        if positions != prompt.image_tokens:
            raise PromptError(
                f"The prompt has {positions} image positions, the images {prompt.image_tokens} features",
                "Report this: the tokenizer and the image geometry of this model folder disagree.",
            )
        return prompt


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
