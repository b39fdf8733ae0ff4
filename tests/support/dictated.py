"""Replies dictated to a loaded model: it draws exactly these tokens, and all else is real.

For what a scripted checkpoint can't say, where each token has one follower only: two calls of different tools
in one reply, and another reply to the same prompt. Any model will do.
"""

from collections.abc import Sequence

import mlx.core as mx
import pytest

import magistral_mlx as mm
from magistral_mlx.generation.decode.sampling import PositionSampler
from magistral_mlx.generation.options import Options
from support.scripted import EOS, Script


def dictate(monkeypatch: pytest.MonkeyPatch, model: mm.Magistral, *replies: Script) -> None:
    """The next replies of `model`, in order; after the last token of one comes the end of the turn.

    A reply that goes on after a cut takes its place in the order again.
    """
    loaded = model._loaded
    assert loaded is not None
    tokenizer = loaded.tokenizer

    def ids(element: int | str | bytes) -> list[int]:
        if isinstance(element, int):
            return [element]
        return tokenizer.encode_text(element if isinstance(element, str) else element.decode())

    waiting = [[token_id for element in reply for token_id in ids(element)] for reply in replies]

    class Dictated(PositionSampler):
        def __init__(self, options: Options) -> None:
            super().__init__(options)
            self._reply: Sequence[int] = waiting.pop(0)

        def at(self, logits: mx.array, position: int) -> mx.array:
            rows = range(position, position + logits.shape[0])
            return mx.array([self._reply[row] if row < len(self._reply) else EOS for row in rows])

    monkeypatch.setattr("magistral_mlx.generation.answering.PositionSampler", Dictated)
