"""Earlier replies as the model wrote them, id by id, instead of as their text would be encoded again.

A model may spell a text in other tokens than the tokenizer would choose. Encoded again, such a reply differs
from what the KV cache holds, and everything after the difference would have to be read anew. So a turn keeps
the ids of its reply, and they are put where mistral-common has encoded its text. Where the model chose the
tokenizer's spelling, the prompt is mistral-common's to the id.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from magistral_mlx.events import ContextSegments
from magistral_mlx.prompt.turns import AssistantTurn, PreparedPrompt, Turn

if TYPE_CHECKING:
    from magistral_mlx.prompt.tokenizer import SpecialIds


def splice(prompt: PreparedPrompt, turns: Sequence[Turn], special: "SpecialIds") -> PreparedPrompt:
    """Return the prompt with the kept ids of earlier replies; images stand in questions, so they stay.

    Args:
        prompt: `turns` encoded.
        turns: the conversation that it was composed of.
    """
    replies = [turn for turn in turns if isinstance(turn, AssistantTurn)]
    spans = list(reply_spans(prompt.token_ids, special))
    if len(spans) != len(replies) or not any(reply.token_ids for reply in replies):
        return prompt  # a turn that the format leaves out or joins: its place is not known
    ids: list[int] = []
    position = 0
    for reply, (start, stop) in zip(replies, spans, strict=True):
        encoded = prompt.token_ids[start:stop]
        ids += prompt.token_ids[position:start]
        ids += closed(reply.token_ids, special) if _stands_for(reply.token_ids, encoded, special) else encoded
        position = stop
    ids += prompt.token_ids[position:]
    return replace(prompt, token_ids=tuple(ids))


def reply_spans(token_ids: Sequence[int], special: "SpecialIds") -> Iterator[tuple[int, int]]:
    """Return the spans of complete replies in a prompt: from after [/INST] or tool results to after </s>."""
    start = 0
    for position, token_id in enumerate(token_ids):
        if token_id in (special.end_inst, special.end_tool_results):
            start = position + 1
        elif token_id == special.eos:
            yield start, position + 1


def opening(token_ids: Sequence[int], special: "SpecialIds") -> tuple[int, ...]:
    """Return the part of the requested reply that the prompt already has, such as empty reasoning."""
    ends = (special.end_inst, special.end_tool_results)
    start = next((at for at in range(len(token_ids), 0, -1) if token_ids[at - 1] in ends), len(token_ids))
    return tuple(token_ids[start:])


def closed(token_ids: Sequence[int], special: "SpecialIds") -> tuple[int, ...]:
    """A reply as history: a thought that was cut off is closed, and so is the turn."""
    body = tuple(token_ids[:-1]) if token_ids and token_ids[-1] == special.eos else tuple(token_ids)
    if thought_is_open(body, special) and special.end_think is not None:
        body = (*body, special.end_think)
    return (*body, special.eos)


def thought_is_open(token_ids: Sequence[int], special: "SpecialIds") -> bool:
    """Tell whether reasoning is open; closed pairs, as in the system prompt, do not count."""
    marks = (special.think, special.end_think)
    last = next((token_id for token_id in reversed(token_ids) if token_id in marks), None)
    return last is not None and last == special.think


def reply_marks(special: "SpecialIds") -> frozenset[int]:
    """Return the control tokens that a reply may hold."""
    marks = (special.think, special.end_think, special.tool_calls, special.args, special.eos)
    return frozenset(mark for mark in marks if mark is not None)


def _stands_for(token_ids: Sequence[int], encoded: Sequence[int], special: "SpecialIds") -> bool:
    """Tell whether the kept ids match the encoded text; that text leaves out tool calls without a result."""
    calls = special.tool_calls
    return bool(token_ids) and list(token_ids).count(calls or -1) == list(encoded).count(calls or -1)


def prompt_segments(token_ids: Sequence[int], special: "SpecialIds") -> ContextSegments:
    """The parts of a prompt; control tokens belong to what they enclose.

    The system message stands at the beginning, up to [/SYSTEM_PROMPT]; images are wherever their
    positions are; everything else is history, the question that is to be answered included.
    """
    ids = tuple(token_ids)
    end_of_system = special.end_system_prompt
    system = ids.index(end_of_system) + 1 if end_of_system in ids else 0
    of_images = {special.image, special.image_break, special.image_end}
    images = sum(token_id in of_images for token_id in ids)
    return ContextSegments(system=system, images=images, history=len(ids) - system - images)
