"""Turns to mistral-common's messages: what `prompt.chat.compose` says, in the library's classes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mistral_common.protocol.instruct.chunk import ImageChunk, TextChunk, ThinkChunk
from mistral_common.protocol.instruct.messages import (
    AssistantMessage,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from mistral_common.protocol.instruct.tool_calls import FunctionCall, ToolCall

from magistral_mlx.errors import PromptError
from magistral_mlx.prompt.chat import AssistantTurn, ToolTurn, Turn, UserTurn
from magistral_mlx.prompt.picture_files import load_image
from magistral_mlx.prompt.system_prompt import ReasoningPrompt
from magistral_mlx.sanitize import sanitize_line

if TYPE_CHECKING:
    from mistral_common.protocol.instruct.chunk import ContentChunk
    from mistral_common.protocol.instruct.messages import ChatMessage


def system_messages(system: str | None, reasoning: ReasoningPrompt | None) -> "list[ChatMessage]":
    """One system message of the user's text and, after a blank line, the reasoning prompt; or none.

    A user's text that is, or holds, the reasoning prompt itself (copied from the model card) loses that
    copy: it would be there twice, once as mere text.
    """
    own = system or ""
    if reasoning is not None:
        own = own.replace(reasoning.text.strip(), "")
    own = own.strip()
    if reasoning is None:
        return [SystemMessage(content=own)] if own else []
    before = f"{own}\n\n{reasoning.before}" if own else reasoning.before
    chunks: list[ContentChunk] = [ThinkChunk(thinking=reasoning.thinking, closed=True)]
    if before:
        chunks.insert(0, TextChunk(text=before))
    if reasoning.after:
        chunks.append(TextChunk(text=reasoning.after))
    return [SystemMessage(content=chunks)]


def conversation_messages(turns: Sequence[Turn], *, keep_reasoning: bool) -> "list[ChatMessage]":
    """The turns as messages; tool results are matched to their calls by name, in order."""
    messages: list[ChatMessage] = []
    pending: list[tuple[str, str]] = []
    for number, turn in enumerate(turns):
        match turn:
            case UserTurn():
                messages.append(_user_message(turn))
            case AssistantTurn():
                pending = [(call.name, f"call{number}x{index}") for index, call in enumerate(turn.tool_calls)]
                message = _assistant_message(
                    turn, [call_id for _, call_id in pending], keep_reasoning=keep_reasoning
                )
                messages += [message] if message else []
            case ToolTurn():
                messages.append(_tool_message(turn, pending))
    return messages


def assistant_opening() -> "ChatMessage":
    """The start of an answer without a thought: `[THINK][/THINK]`, to be continued by the model."""
    return AssistantMessage(content=[ThinkChunk(thinking="", closed=True)], prefix=True)


def _user_message(turn: UserTurn) -> UserMessage:
    if not turn.images:
        if not turn.text.strip():
            raise PromptError("The question is empty", "Write a question, or attach a picture.")
        return UserMessage(content=turn.text)
    chunks: list[ContentChunk] = [ImageChunk(image=load_image(source)) for source in turn.images]
    return UserMessage(content=[*chunks, TextChunk(text=turn.text)] if turn.text else chunks)


def _assistant_message(
    turn: AssistantTurn, call_ids: list[str], *, keep_reasoning: bool
) -> AssistantMessage | None:
    chunks: list[ContentChunk] = []
    if turn.reasoning and keep_reasoning:
        chunks.append(ThinkChunk(thinking=turn.reasoning, closed=True))
    if turn.answer:
        chunks.append(TextChunk(text=turn.answer))
    calls = [
        ToolCall(id=call_id, function=FunctionCall(name=call.name, arguments=call.arguments))
        for call_id, call in zip(call_ids, turn.tool_calls, strict=True)
    ]
    if not chunks and not calls:
        return None
    return AssistantMessage(content=chunks or None, tool_calls=calls or None)


def _tool_message(turn: ToolTurn, pending: list[tuple[str, str]]) -> ToolMessage:
    for index, (name, call_id) in enumerate(pending):
        if name == turn.name:
            del pending[index]
            return ToolMessage(content=turn.content, tool_call_id=call_id, name=turn.name)
    raise PromptError(
        f'The result of the tool "{sanitize_line(turn.name)}" answers no call of the turn before it',
        "Give one result, by the same name, for each call.",
    )
