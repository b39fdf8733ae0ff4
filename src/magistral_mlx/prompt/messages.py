"""Turns to mistral-common's messages: what `prompt.chat.compose` says, in the library's classes."""

from collections.abc import Sequence
from dataclasses import replace
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
from magistral_mlx.prompt.image_files import load_image
from magistral_mlx.prompt.system_prompt import ReasoningPrompt, ThoughtMarks, thought_as_text
from magistral_mlx.prompt.turns import AssistantTurn, ToolTurn, Turn, UserTurn
from magistral_mlx.sanitize import sanitize_line

if TYPE_CHECKING:
    from mistral_common.protocol.instruct.chunk import ContentChunk
    from mistral_common.protocol.instruct.messages import ChatMessage


def system_messages(system: str | None, reasoning: ReasoningPrompt | None) -> "list[ChatMessage]":
    """Return one system message of the user's text and, after a blank line, the reasoning prompt; or none.

    A user's text that is, or holds, the reasoning prompt itself (copied from the model card) loses that
    copy: it would be there twice, once as mere text.
    """
    own = system or ""
    if reasoning is not None:
        own = own.replace(reasoning.text.strip(), "")
    own = own.strip()
    if reasoning is None:
        return [SystemMessage(content=own)] if own else []
    if reasoning.marks is ThoughtMarks.TEXT:
        return [SystemMessage(content=f"{own}\n\n{reasoning.text}" if own else reasoning.text)]
    before = f"{own}\n\n{reasoning.before}" if own else reasoning.before
    chunks: list[ContentChunk] = [ThinkChunk(thinking=reasoning.thinking, closed=True)]
    if before:
        chunks.insert(0, TextChunk(text=before))
    if reasoning.after:
        chunks.append(TextChunk(text=reasoning.after))
    return [SystemMessage(content=chunks)]


def conversation_messages(
    turns: Sequence[Turn], *, keep_reasoning: bool, marks: ThoughtMarks = ThoughtMarks.TOKENS
) -> "list[ChatMessage]":
    """Return the turns as messages; tool results are matched to their calls by name, in order.

    A call that never got a result is left out where the conversation went on without it: the format does
    not know such calls. So is an assistant turn of which nothing is left.
    """
    messages: list[ChatMessage] = []
    position = 0
    while position < len(turns):
        turn = turns[position]
        position += 1
        match turn:
            case UserTurn():
                messages.append(_user_message(turn))
            case AssistantTurn():
                results = _results_at(turns, position)
                position += len(results)
                if results and position == len(turns) and len(results) < len(turn.tool_calls):
                    raise PromptError(
                        f"{len(turn.tool_calls)} tools were called, {len(results)} gave results",
                        "Give one result, by the same name, for each call.",
                    )
                messages += _assistant_messages(
                    _marked(turn, marks, keep_reasoning=keep_reasoning), results, f"call{position}"
                )
            case ToolTurn():
                raise _stray_result(turn)
    return messages


def _results_at(turns: Sequence[Turn], start: int) -> list[ToolTurn]:
    """Return the tool turns from `start` on, up to the next turn of another kind."""
    results: list[ToolTurn] = []
    for turn in turns[start:]:
        if not isinstance(turn, ToolTurn):
            break
        results.append(turn)
    return results


def _stray_result(turn: ToolTurn) -> PromptError:
    return PromptError(
        f'The result of the tool "{sanitize_line(turn.name)[:80]}" answers no call of the turn before it',
        "Give one result, by the same name, for each call.",
    )


def assistant_opening(marks: ThoughtMarks = ThoughtMarks.TOKENS) -> "ChatMessage":
    """Return the start of an answer without reasoning: `[THINK][/THINK]`, to be continued by the model."""
    if marks is ThoughtMarks.TEXT:
        return AssistantMessage(content=thought_as_text(""), prefix=True)
    return AssistantMessage(content=[ThinkChunk(thinking="", closed=True)], prefix=True)


def _user_message(turn: UserTurn) -> UserMessage:
    if not turn.images:
        if not turn.text.strip():
            raise PromptError("The question is empty", "Write a question, or attach an image.")
        return UserMessage(content=turn.text)
    chunks: list[ContentChunk] = [ImageChunk(image=load_image(source)) for source in turn.images]
    return UserMessage(content=[*chunks, TextChunk(text=turn.text)] if turn.text else chunks)


def _marked(turn: AssistantTurn, marks: ThoughtMarks, *, keep_reasoning: bool) -> AssistantTurn:
    """Return the turn to send: without its reasoning, or with reasoning marked in the text."""
    if not keep_reasoning:
        return replace(turn, reasoning="")
    if marks is ThoughtMarks.TEXT and turn.reasoning:
        return replace(turn, reasoning="", answer=thought_as_text(turn.reasoning) + turn.answer)
    return turn


def _assistant_messages(turn: AssistantTurn, results: Sequence[ToolTurn], group: str) -> "list[ChatMessage]":
    chunks: list[ContentChunk] = []
    if turn.reasoning:
        chunks.append(ThinkChunk(thinking=turn.reasoning, closed=True))
    if turn.answer:
        chunks.append(TextChunk(text=turn.answer))
    answered = _matched(turn, results)
    calls = [
        ToolCall(id=f"{group}x{index}", function=FunctionCall(name=call.name, arguments=call.arguments))
        for index, call in enumerate(turn.tool_calls)
        if index in answered
    ]
    if not chunks and not calls:
        return []
    return [
        AssistantMessage(content=chunks or None, tool_calls=calls or None),
        *(
            ToolMessage(content=result.content, tool_call_id=f"{group}x{index}", name=result.name)
            for index, result in answered.items()
        ),
    ]


def _matched(turn: AssistantTurn, results: Sequence[ToolTurn]) -> dict[int, ToolTurn]:
    """Index of a call to its result: the first call of that name that has none yet."""
    answered: dict[int, ToolTurn] = {}
    for result in results:
        for index, call in enumerate(turn.tool_calls):
            if call.name == result.name and index not in answered:
                answered[index] = result
                break
        else:
            raise _stray_result(result)
    return answered
