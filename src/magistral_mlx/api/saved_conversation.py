"""Text and arrays of a saved conversation, stored beside its KV cache by `Conversation.save`."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import takewhile
from typing import TYPE_CHECKING, Any, cast

import mlx.core as mx

from magistral_mlx.api.options import checked
from magistral_mlx.errors import CacheFileError, UsageError
from magistral_mlx.events import Ending, ToolCall
from magistral_mlx.generation.options import Options
from magistral_mlx.prompt.images import load_image
from magistral_mlx.prompt.splicing import reply_marks
from magistral_mlx.prompt.turns import AssistantTurn, ToolTurn, Turn, UserTurn

if TYPE_CHECKING:
    from PIL import Image

    from magistral_mlx.prompt.images import ImageSource
    from magistral_mlx.prompt.tokenizer import Tokenizer

_STORED_AS = {"CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB", "RGBX": "RGB", "PA": "RGBA", "RGBa": "RGBA"}
"""Modes that PNG files lack."""


@dataclass(frozen=True)
class SavedConversation:
    """System text, turns, and how the last reply was asked for and ended."""

    system: str | None
    turns: tuple[Turn, ...]
    options: Options = field(default_factory=Options)
    """Those of the last question. A schema that was a pydantic class comes back without its class."""
    ending: Ending | None = None
    """How the last reply ended; None: not known."""
    unfinished: tuple[int, ...] = ()
    """Ids of the last reply from which `continue_` goes on; () if its text is to be encoded again."""

    def to_parts(self) -> tuple[str, dict[str, mx.array]]:
        """A text, and the images as bytes of PNG files."""
        images: dict[str, mx.array] = {}
        content = {
            "system": self.system,
            "turns": [_turn_to_json(turn, images) for turn in self.turns],
            "options": _options_to_json(self.options),
            "ending": self.ending,
            "unfinished": list(self.unfinished),
        }
        return json.dumps(content), images


def from_parts(text: str, images: Mapping[str, mx.array], tokenizer: "Tokenizer") -> SavedConversation:
    """The conversation again.

    The file may come from anywhere: token ids are accepted only if they are ordinary tokens or marks that a
    reply may hold.

    Raises:
        CacheFileError: the text is not such a conversation.
        ImageError: an image cannot be read.
    """
    try:
        raw = cast("dict[str, Any]", json.loads(text))
        turns = tuple(_turn_from_json(each, images, tokenizer) for each in raw["turns"])
        system = raw["system"]
        if system is not None and not isinstance(system, str):
            raise TypeError
        ending = raw.get("ending")  # earlier versions wrote neither this nor what follows
        unfinished = tuple(int(token_id) for token_id in raw.get("unfinished", ()))
        return SavedConversation(
            system,
            turns,
            checked(raw.get("options", {})),
            None if ending is None else Ending(ending),
            unfinished if _harmless(unfinished, tokenizer) else (),
        )
    except (ValueError, KeyError, TypeError, AttributeError, UsageError) as error:
        raise CacheFileError("The cache file holds no conversation", "Ask without it.") from error


def _options_to_json(options: Options) -> dict[str, object]:
    """What differs from the defaults, as `checked` takes it."""
    changed = {
        each.name: getattr(options, each.name)
        for each in fields(Options)
        if getattr(options, each.name) != each.default
    }
    if options.schema is not None:
        changed["schema"] = options.schema.text
    if options.tools:
        changed["tools"] = [
            dict(tool) if isinstance(tool, Mapping) else tool.model_dump(mode="json")
            for tool in options.tools
        ]
    return changed


def common_turns(turns: Sequence[Turn], others: Sequence[Turn]) -> int:
    """Number of turns that both begin with; images are equal if their pixels are."""
    pairs = zip(turns, others, strict=False)
    return sum(1 for _ in takewhile(lambda pair: _same(*pair), pairs))


def _same(turn: Turn, other: Turn) -> bool:
    if isinstance(turn, UserTurn) and isinstance(other, UserTurn):
        return turn.text == other.text and _pixels(turn) == _pixels(other)
    return turn == other


def _pixels(turn: UserTurn) -> list[tuple[str, tuple[int, int], bytes]]:
    images = [_storable(image) for image in turn.images]
    return [(image.mode, image.size, image.tobytes()) for image in images]


def _storable(source: "ImageSource") -> "Image.Image":
    """The image in a mode that PNG files have; the model sees the same pixels."""
    image = load_image(source)
    mode = _STORED_AS.get(image.mode)
    return image if mode is None else image.convert(mode)


def _turn_to_json(turn: Turn, images: dict[str, mx.array]) -> dict[str, object]:
    match turn:
        case UserTurn():
            names: list[str] = []
            for image in turn.images:
                buffer = io.BytesIO()
                _storable(image).save(buffer, "PNG")
                names.append(f"image.{len(images)}")
                images[names[-1]] = mx.array(cast("Any", memoryview(buffer.getvalue())))
            return {"user": turn.text, "images": names}
        case AssistantTurn():
            calls = [[call.name, call.arguments] for call in turn.tool_calls]
            return {
                "reasoning": turn.reasoning,
                "answer": turn.answer,
                "calls": calls,
                "ids": list(turn.token_ids),
            }
        case ToolTurn():
            return {"tool": turn.name, "content": turn.content}


def _turn_from_json(raw: Mapping[str, Any], images: Mapping[str, mx.array], tokenizer: "Tokenizer") -> Turn:
    if "user" in raw:
        shown = tuple(
            load_image(bytes(memoryview(cast("Any", images[name])))).copy() for name in raw["images"]
        )
        return UserTurn(_text(raw["user"]), shown)
    if "tool" in raw:
        return ToolTurn(_text(raw["tool"]), _text(raw["content"]))
    calls = tuple(ToolCall(_text(name), _text(arguments)) for name, arguments in raw["calls"])
    ids = tuple(int(token_id) for token_id in raw["ids"])
    kept = ids if _harmless(ids, tokenizer) else ()
    return AssistantTurn(_text(raw["reasoning"]), _text(raw["answer"]), calls, kept)


def _harmless(token_ids: Sequence[int], tokenizer: "Tokenizer") -> bool:
    usual = reply_marks(tokenizer.special)
    return all(
        0 <= token_id < tokenizer.vocab_size and (token_id in usual or not tokenizer.is_control(token_id))
        for token_id in token_ids
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
