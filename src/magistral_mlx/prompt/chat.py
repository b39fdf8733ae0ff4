"""Conversations: turns composed to mistral-common's messages, and messages encoded to token ids.

`compose` decides what is said (the reasoning prompt, the user's own system text, earlier thoughts);
`encode` only puts it into ids, literally. mistral-common is imported when either is called: user
interfaces can use the turns without loading it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from magistral_mlx.errors import PromptError
from magistral_mlx.prompt.system_prompt import ReasoningPrompt, ThoughtMarks
from magistral_mlx.prompt.turns import AssistantTurn, PreparedPrompt, Turn

if TYPE_CHECKING:
    from mistral_common.protocol.instruct.messages import ChatMessage
    from mistral_common.protocol.instruct.tool_calls import Tool

    from magistral_mlx.prompt.tokenizer import Tokenizer
    from magistral_mlx.prompt.turns import Message


def compose(
    turns: Sequence[Turn],
    *,
    system: str | None,
    system_prompt: ReasoningPrompt | None,
    thinking: bool,
    keep_reasoning: bool = True,
    marks: ThoughtMarks = ThoughtMarks.TOKENS,
) -> "list[ChatMessage]":
    """Return the messages for a conversation whose last turn is the user's or a tool's.

    Thinking: one system message of chunks text / thought / text, the user's own system text first, then a
    blank line, then the reasoning prompt. Not thinking: only the user's system text, and the answer is
    opened with an empty closed thought. An assistant turn in which nothing was said is left out, and so are
    tool calls that never got a result, where the conversation went on without it.

    Args:
        turns: the conversation so far.
        system: the user's own system text; None or blank for none.
        system_prompt: the model's reasoning prompt; needed when thinking.
        thinking: whether the model shall think before it answers this time.
        keep_reasoning: False drops the thoughts of earlier turns: shorter prompts, but everything after
            the first dropped thought must be read anew each turn, and the model was trained with them kept.
        marks: how the model marks its thoughts: `Tokenizer.thought_marks`.

    Raises:
        PromptError: nothing to answer, an empty question, a tool result without its call, no reasoning
            prompt when thinking.
        ImageError: an image cannot be read.
        NetworkError: an image's URL does not answer.
    """
    from magistral_mlx.prompt.messages import assistant_opening, conversation_messages, system_messages

    if not turns or isinstance(turns[-1], AssistantTurn):
        raise PromptError(
            "There is no question to answer", "End the conversation with a user's or a tool's turn."
        )
    if thinking and system_prompt is None:
        raise PromptError(
            "The model has no SYSTEM_PROMPT.txt, without which it does not think",
            "Convert the model again from its original folder, or ask with thinking switched off.",
        )
    messages = system_messages(system, system_prompt if thinking else None)
    messages += conversation_messages(turns, keep_reasoning=keep_reasoning, marks=marks)
    return messages if thinking else [*messages, assistant_opening(marks)]


def encode(
    tokenizer: "Tokenizer",
    messages: "Sequence[Message]",
    *,
    tools: "Iterable[Tool | Mapping[str, Any]]" = (),
) -> PreparedPrompt:
    """Return the ids of `messages` exactly as mistral-common gives them; nothing is merged in.

    Args:
        tokenizer: the checkpoint's.
        messages: mistral-common's classes or dicts of the same keys. Images are chunks of type `image`
            (a PIL image, or base64) or `image_url` (data:, http(s): or file: URL); all are read by
            `load_image`, so turned upright and within its limits.
        tools: tool descriptions as mistral-common and OpenAI write them.

    Raises:
        PromptError: roles, order or content that the format cannot express.
        ImageError: an image cannot be read, or the checkpoint cannot see.
        NetworkError: an image's URL does not answer.
    """
    return tokenizer.encode_messages(messages, tools=tuple(tools))
