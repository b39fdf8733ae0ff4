"""Turns of a conversation, as people and tools write them. Importing this loads no library."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from mistral_common.protocol.instruct.messages import ChatMessage

    from magistral_mlx.prompt.images import ImageSource, PreparedImage

    Message: TypeAlias = ChatMessage | Mapping[str, Any]
    """A chat message as mistral-common takes it: one of its classes, or a dict of the same keys."""


_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""The names that mistral-common takes."""


def is_tool_name(name: str) -> bool:
    """Tell whether the format can express a tool of this name."""
    return _TOOL_NAME.fullmatch(name) is not None


def as_tool_name(name: str) -> str:
    """Return the name for the history: the model's own if the format allows it, else one with hyphens.

    No Python function has a name with hyphens.
    """
    return name if is_tool_name(name) else re.sub(r"[^a-zA-Z0-9_-]", "-", name)[:63] + "-"


class CalledTool(Protocol):
    """A tool call of an earlier answer; `magistral_mlx.events.ToolCall` is one."""

    @property
    def name(self) -> str: ...
    @property
    def arguments(self) -> str:
        """A JSON object as text, if the model wrote one."""
        ...


@dataclass(frozen=True)
class UserTurn:
    """The user's words and images; images stand before the text."""

    text: str
    images: "tuple[ImageSource, ...]" = ()


@dataclass(frozen=True)
class AssistantTurn:
    """The model's reply. `reasoning` is "" when it did not reason; reasoning that was cut off is closed."""

    reasoning: str
    answer: str
    tool_calls: tuple[CalledTool, ...] = ()
    token_ids: tuple[int, ...] = field(default=(), compare=False, repr=False)
    """The ids that the model wrote, so that they need not be read again; () stands for those of the text."""


@dataclass(frozen=True)
class ToolTurn:
    """The result of the tool call of that name in the previous turn."""

    name: str
    content: str


Turn: TypeAlias = UserTurn | AssistantTurn | ToolTurn


@dataclass(frozen=True)
class PreparedPrompt:
    """Input of the model: ids, and the images that fill their [IMG] positions, in order."""

    token_ids: tuple[int, ...]
    images: "tuple[PreparedImage, ...]" = ()

    @property
    def image_tokens(self) -> int:
        """[IMG] positions, breaks and ends not counted."""
        return sum(image.token_count for image in self.images)
