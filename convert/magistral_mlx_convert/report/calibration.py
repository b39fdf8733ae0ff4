"""What both models read: a text in each language of Magistral's model card, and a few drawn images.

The texts (`texts.json`) were written for this purpose. Images are drawn from fixed seeds, and what they
show is told after them as an assistant would.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from magistral_mlx.miniature.images import BarChart, Cell, Grid, draw
from magistral_mlx.prompt.chat import compose, encode
from magistral_mlx.prompt.images import PreparedImage
from magistral_mlx.prompt.tokenizer import Tokenizer
from magistral_mlx.prompt.turns import UserTurn

IMAGES = "pictures"
"""The group of the samples that see something; all other groups are languages."""

LONGEST = 160
"""Tokens of a sample. A tokenizer that knows a script only by its bytes would make long ones."""


@dataclass(frozen=True)
class Sample:
    """One prompt. Only the predictions of `token_ids[scored_from:]` are counted."""

    group: str
    token_ids: tuple[int, ...]
    scored_from: int
    images: tuple[PreparedImage, ...] = ()


BATCH_TOKENS = 1024
"""Tokens, filled-up ones included, that pass a layer at a time. Each batch reads the layer's weights anew."""


_IMAGES: tuple[tuple[Grid | BarChart, str], ...] = (
    (
        BarChart(("A", "B", "C", "D"), (3, 8, 5, 1)),
        "The bar chart has four bars: A is 3, B is 8, C is 5 and D is 1. The tallest bar is B.",
    ),
    (
        Grid(
            (
                (Cell("red", "circle"), None, Cell("blue", "square")),
                (None, Cell("green", "triangle"), Cell("red", "circle")),
            )
        ),
        "Row 1: red circle, empty, blue square. Row 2: empty, green triangle, red circle.",
    ),
    (
        Grid(((Cell("yellow", "star"), Cell("yellow", "star")), (Cell("blue", "cross"), None))),
        "Two yellow stars stand in the first row and a blue cross below them.",
    ),
)


def samples(tokenizer: Tokenizer, *, seeing: bool, texts: Mapping[str, str] | None = None) -> list[Sample]:
    """Everything to read, in a fixed order.

    Args:
        tokenizer: that of the converted folder.
        seeing: whether the model has a vision tower; without one there are no images.
        texts: language -> text; the bundled ones without it.
    """
    read = [
        Sample(group=language, token_ids=_text_ids(tokenizer, text), scored_from=1)
        for language, text in sorted((texts or calibration_texts()).items())
    ]
    return [*read, *(_image_sample(tokenizer, *each) for each in _IMAGES)] if seeing else read


def batches(read: Sequence[Sample]) -> list[list[Sample]]:
    """The same in the same order, cut so that a batch has few tokens once all its samples are as long."""
    cut: list[list[Sample]] = []
    for sample in read:
        longest = max(len(each.token_ids) for each in [sample, *(cut[-1] if cut else ())])
        if not cut or (len(cut[-1]) + 1) * longest > BATCH_TOKENS:
            cut.append([])
        cut[-1].append(sample)
    return cut


def calibration_texts() -> dict[str, str]:
    """Language -> a few sentences in it."""
    raw = resources.files("magistral_mlx_convert.report").joinpath("texts.json").read_text("utf-8")
    texts: dict[str, str] = json.loads(raw)
    return texts


def _image_sample(tokenizer: Tokenizer, shown: Grid | BarChart, told: str) -> Sample:
    image = draw(shown, random.Random(7))
    turn = UserTurn("Describe this image.", (image,))
    prompt = encode(tokenizer, compose([turn], system=None, system_prompt=None, thinking=False))
    answer = [*tokenizer.encode_text(told), tokenizer.special.eos]
    return Sample(
        group=IMAGES,
        token_ids=(*prompt.token_ids, *answer),
        scored_from=len(prompt.token_ids),
        images=prompt.images,
    )


def _text_ids(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    return tuple([tokenizer.special.bos, *tokenizer.encode_text(text)][:LONGEST])
