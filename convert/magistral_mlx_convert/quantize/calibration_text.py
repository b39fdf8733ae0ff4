"""What a calibrated conversion reads: text of many kinds, conversations with reasoning, tool calls, images.

The files in `texts/` belong to this package:

`prose.txt`           openings of English books and speeches in the public domain (Austen, Melville, Carroll,
                      Dickens, Lincoln, Doyle, the King James Bible, Darwin, Thoreau, Shakespeare, Twain), and
                      news, letters, recipes, records and notes written for this purpose
`languages.txt`       the 23 other languages of Magistral's model card: openings of works in the public domain
                      (Proust, Descartes, Kafka, Cervantes, Dante, Machado de Assis, Tolstoy, Mickiewicz,
                      Shevchenko, Luo Guanzhong, Soseki) and sentences written for this purpose
`code.txt`            Python of this project
`snippets.txt`        a dozen other languages and formats, written for this purpose
`technical.txt`       documentation of this project
`questions.txt`       short questions written for this project
`conversations.json`  question, reasoning, answer; written for this purpose

All of it is in the public domain or under this project's licence (Apache-2.0). None of it is what
`report` measures on: legal text, C, lists of sums, other languages and the report's texts stay unseen.
"""

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TypedDict, cast

from magistral_mlx.errors import UsageError
from magistral_mlx.miniature.images import BarChart, Grid, draw, random_chart, random_grid
from magistral_mlx.prompt.chat import compose, encode
from magistral_mlx.prompt.system_prompt import ReasoningPrompt
from magistral_mlx.prompt.tokenizer import Tokenizer
from magistral_mlx.prompt.turns import UserTurn
from magistral_mlx_convert.report.calibration import Sample

WINDOW = 256
"""Tokens of a window of text. Every second one begins with <s>, as prompts do; texts go on without it."""

MOST_WINDOWS = 96
"""Windows of text; of a longer text, evenly spaced ones."""

FEWEST_TOKENS = 256
"""Less than this says nothing about what a model reads."""

IMAGES = 6

_PROMPTED = 4
"""One conversation in so many begins with the reasoning prompt, which is longer than they are."""

_FILES = (
    "prose.txt",
    "languages.txt",
    "code.txt",
    "snippets.txt",
    "technical.txt",
    "questions.txt",
)
_CONVERSATIONS = "conversations.json"


class _Conversation(TypedDict):
    question: str
    reasoning: str
    answer: str


@dataclass(frozen=True)
class CalibrationText:
    """The text that is read: `name` and `sha256` stand in the manifest."""

    name: str
    sha256: str
    plain: str
    conversations: tuple[_Conversation, ...] = ()

    @property
    def is_bundled(self) -> bool:
        return bool(self.conversations)


def bundled_text() -> CalibrationText:
    """The text of this package."""
    folder = resources.files("magistral_mlx_convert.quantize").joinpath("texts")
    contents = [folder.joinpath(name).read_text("utf-8") for name in _FILES]
    conversations = folder.joinpath(_CONVERSATIONS).read_text("utf-8")
    return CalibrationText(
        name="magistral-mlx calibration text 1",
        sha256=_digest("\0".join([*contents, conversations])),
        plain="\n\n".join(contents),
        conversations=tuple(cast(list[_Conversation], json.loads(conversations))),
    )


def text_of_file(path: Path) -> CalibrationText:
    """A text of the user's own.

    Raises:
        UsageError: it can't be read, or is not UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}", "Check the path.") from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is not UTF-8 text (byte {error.start})", "Save it as UTF-8, or take another file."
        ) from error
    return CalibrationText(name=path.name, sha256=_digest(text), plain=text)


def calibration_samples(
    text: CalibrationText, tokenizer: Tokenizer, prompt: ReasoningPrompt, *, seeing: bool
) -> list[Sample]:
    """All prompts in a fixed order; windows of text have one length each.

    Args:
        text: what to read.
        tokenizer: the model's.
        prompt: the model's reasoning prompt, which stands before conversations.
        seeing: whether the model has a vision tower; it then looks at a few drawn images.

    Raises:
        UsageError: the text is too short.
    """
    plain = tokenizer.encode_text(text.plain)
    if len(plain) < FEWEST_TOKENS:
        raise UsageError(
            f"{text.name} has only {len(plain)} tokens", f"Take a text of at least {FEWEST_TOKENS}."
        )
    talked = [
        token
        for number, each in enumerate(text.conversations)
        for token in _conversation_ids(each, tokenizer, None if number % _PROMPTED else prompt)
    ]
    windows = [*_windows(plain), *_windows(talked)]
    kept = windows
    if len(windows) > MOST_WINDOWS:
        kept = [windows[place * len(windows) // MOST_WINDOWS] for place in range(MOST_WINDOWS)]
    bos = tokenizer.special.bos
    read = [
        Sample("text", (bos, *ids[1:]) if number % 2 == 0 else ids, scored_from=1)
        for number, ids in enumerate(kept)
    ]
    return [*read, *_image_samples(tokenizer)] if seeing else read


def _windows(ids: list[int]) -> list[tuple[int, ...]]:
    """Whole windows; a text that is shorter than one is taken whole."""
    if len(ids) < WINDOW:
        return [tuple(ids)] if ids else []
    return [tuple(ids[first : first + WINDOW]) for first in range(0, len(ids) - WINDOW + 1, WINDOW)]


def _conversation_ids(
    spoken: _Conversation, tokenizer: Tokenizer, prompt: ReasoningPrompt | None
) -> list[int]:
    """The prompt as it is sent, then the thought, the answer and the end, as the model writes them."""
    marks, special = tokenizer.thought_marks, tokenizer.special
    asked = _asked(spoken["question"], tokenizer, prompt)
    opening = [special.think] if special.think is not None else tokenizer.encode_text(marks.opening)
    closing = [special.end_think] if special.end_think is not None else tokenizer.encode_text(marks.closing)
    return [
        *asked,
        *opening,
        *tokenizer.encode_text(spoken["reasoning"]),
        *closing,
        *tokenizer.encode_text(spoken["answer"]),
        special.eos,
    ]


def _asked(question: str, tokenizer: Tokenizer, prompt: ReasoningPrompt | None) -> tuple[int, ...]:
    if prompt is None:
        marks = [tokenizer.special.inst, tokenizer.special.end_inst]
        begin, end = ([mark] if mark is not None else [] for mark in marks)
        return (tokenizer.special.bos, *begin, *tokenizer.encode_text(question), *end)
    turns = [UserTurn(question)]
    messages = compose(turns, system=None, system_prompt=prompt, thinking=True, marks=tokenizer.thought_marks)
    return encode(tokenizer, messages).token_ids


def _image_samples(tokenizer: Tokenizer) -> Iterator[Sample]:
    rng = random.Random(2026)
    for number in range(IMAGES):
        shown = random_chart(rng) if number % 2 else random_grid(rng, rows=4, columns=5)
        turn = UserTurn("What does this image show?", (draw(shown, rng),))
        prompt = encode(tokenizer, compose([turn], system=None, system_prompt=None, thinking=False,
                                           marks=tokenizer.thought_marks))  # fmt: skip
        told = [*tokenizer.encode_text(_told(shown)), tokenizer.special.eos]
        yield Sample("images", (*prompt.token_ids, *told), scored_from=1, images=prompt.images)


def _told(shown: Grid | BarChart) -> str:
    if isinstance(shown, BarChart):
        bars = ", ".join(
            f"{label} is {value}" for label, value in zip(shown.labels, shown.values, strict=True)
        )
        return f"A bar chart: {bars}."
    rows = ("; ".join(f"a {cell.colour} {cell.shape}" if cell else "nothing" for cell in row)
            for row in shown.cells)  # fmt: skip
    return " ".join(f"Row {number}: {row}." for number, row in enumerate(rows, start=1))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
