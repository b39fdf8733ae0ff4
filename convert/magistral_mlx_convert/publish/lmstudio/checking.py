"""Generated tokenizer files against mistral-common: the same ids for texts and for whole conversations.

What can't be the same is left out: a text that spells a control token is one to Hugging Face's tokenizers.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from PIL import Image
from tokenizers import Tokenizer as HuggingFaceTokenizer

from magistral_mlx.checkpoint.folder import Checkpoint
from magistral_mlx.errors import ConversionError
from magistral_mlx.prompt.chat import compose, encode
from magistral_mlx.prompt.images import ImageGeometry, image_grid
from magistral_mlx.prompt.system_prompt import ReasoningPrompt, ThoughtMarks
from magistral_mlx.prompt.tokenizer import Tokenizer
from magistral_mlx.prompt.turns import AssistantTurn, Turn, UserTurn
from magistral_mlx_convert.report.calibration import calibration_texts

PROBES: tuple[str, ...] = (
    "eBay mL NaOH pH iPhone McDonald's XMLHttpRequest camelCase snake_case",
    "I'M YOU'RE we've don't O'Neill",
    "1234567 3.14159 1,000,000 0xDEADBEEF ½ Ⅷ ²",
    "  two  spaces\tand a tab \n\n\n and   lines \r\n  end   ",
    "def f(x):\n    return {'a': [x ** 2 for x in range(10)]}  # comment\n",
    "👩‍👩‍👧‍👦 🇫🇷 👍🏽 ☃️ 🏳️‍🌈",
    "日本語の文章と漢字、中文標點。한국어 띄어쓰기",
    "naïve café e\u0301 A\u030a ﬁ ǅ ß İ",
    "aaaaaaaaaaaaaaaaaaaa ---------- ======== ........ \u00a0\u2003\u200b",
    'https://example.org/a?b=c&d=%20#e <html lang="en">&nbsp;</html> \\frac{1}{2}',
)
"""Where tokenizers differ: case inside words, digits, blanks, combining characters, emoji, scripts."""


def check_tokenizer(files: Mapping[str, bytes], checkpoint: Checkpoint) -> None:
    """Compares ids.

    Raises:
        ConversionError: a text or a conversation gives other ids than mistral-common.
    """
    ours = HuggingFaceTokenizer.from_buffer(files["tokenizer.json"])
    theirs = Tokenizer.from_file(checkpoint.tokenizer_file, geometry_of(checkpoint))
    for text in (*PROBES, *calibration_texts().values()):
        if ours.encode(text, add_special_tokens=False).ids != theirs.encode_text(text):
            raise _different(f"the text {text[:40]!r}")
    render = renderer(files)
    for what, messages, expected in _conversations(checkpoint, theirs):
        spelled = _with_grids(render(messages), checkpoint)
        if ours.encode(spelled, add_special_tokens=False).ids != expected:
            raise _different(what)


def renderer(files: Mapping[str, bytes]) -> Callable[..., str]:
    """The chat template as Transformers runs it: messages, and its variables by name -> text."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals.update({"raise_exception": cast(Any, _refuse)})
    template = environment.from_string(files["chat_template.jinja"].decode())
    named = cast(dict[str, object], json.loads(files["special_tokens_map.json"]))

    def render(messages: Sequence[Mapping[str, object]], **variables: object) -> str:
        return template.render(messages=messages, **{"add_generation_prompt": True, **named, **variables})

    return render


def geometry_of(checkpoint: Checkpoint) -> ImageGeometry | None:
    """Return the geometry of image tokens; None for a text-only checkpoint."""
    vision = checkpoint.config.vision
    if vision is None:
        return None
    return ImageGeometry(vision.patch_size, checkpoint.config.spatial_merge_size, vision.image_size)


_SIZES = ((60, 90), (200, 30))
"""Width and height of the images in `_conversations`."""


def _conversations(
    checkpoint: Checkpoint, tokenizer: Tokenizer
) -> list[tuple[str, list[dict[str, Any]], list[int]]]:
    """A conversation to compare: a name, messages as a client sends them, and mistral-common's ids."""
    prompt = ReasoningPrompt.parse(checkpoint.system_prompt) if checkpoint.system_prompt else None
    if prompt is not None and prompt.marks is not ThoughtMarks.TOKENS:
        prompt = None
    told = "You are terse. 簡潔に。"
    images = tuple(Image.new("RGB", size, "white") for size in _SIZES)
    history: list[Turn] = [UserTurn("What is 47 + 38?"), AssistantTurn("7 + 8 = 15.", "It is **85**.")]
    turns: list[tuple[str, str | None, list[Turn]]] = [
        ("one question", None, [UserTurn("Why is NaOH a base?\n")]),
        ("a system prompt", told, [UserTurn("Hello")]),
        ("a history with its reasoning", told, [*history, UserTurn("and now? 👍🏽")]),
        ("an answer without reasoning", None, [UserTurn("Hi"), AssistantTurn("", "Hello!"), UserTurn("Bye")]),
    ]
    if checkpoint.config.vision is not None:
        turns.append(("pictures", told, [UserTurn("Compare them.", images), *history[1:], UserTurn("ok")]))
    found: list[tuple[str, list[dict[str, Any]], list[int]]] = []
    for what, system, each in turns:
        messages = compose(each, system=system, system_prompt=prompt, thinking=prompt is not None)
        ids = list(encode(tokenizer, messages).token_ids)
        if prompt is None:  # `compose` opens the answer then
            ids = ids[:-2]
        found.append((what, _as_sent(each, system), ids))
    return found


def _as_sent(turns: Sequence[Turn], system: str | None) -> list[dict[str, Any]]:
    """The turns as an OpenAI client spells them."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    for turn in turns:
        match turn:
            case UserTurn(images=()):
                messages.append({"role": "user", "content": turn.text})
            case UserTurn():
                text = {"type": "text", "text": turn.text}
                messages.append(
                    {"role": "user", "content": [*({"type": "image"} for _ in turn.images), text]}
                )
            case AssistantTurn():
                said = {"role": "assistant", "content": turn.answer}
                messages.append(said | ({"reasoning_content": turn.reasoning} if turn.reasoning else {}))
            case _:
                raise AssertionError("no tools here")
    return messages


def _with_grids(spelled: str, checkpoint: Checkpoint) -> str:
    """Each [IMG] as the processor spells it out for the image at that place."""
    geometry = geometry_of(checkpoint)
    if geometry is None:
        return spelled
    first, *rest = spelled.split("[IMG]")
    parts = [first]
    for (width, height), after in zip(_SIZES, rest, strict=False):
        rows, columns = image_grid(width, height, geometry)
        parts += ["[IMG_BREAK]".join(["[IMG]" * columns] * rows), "[IMG_END]", after]
    return "".join(parts)


def _tojson(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _refuse(message: str) -> None:
    raise ConversionError(message, "Correct the messages.")


def _different(what: str) -> ConversionError:
    return ConversionError(
        f"The tokenizer.json made from tekken.json gives other ids than mistral-common for {what}",
        "Nothing was placed. Please report this with the model's name.",
    )
