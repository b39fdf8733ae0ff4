"""Logits that are no finite numbers are told; nothing is answered from them."""

from collections.abc import Iterator

import mlx.core as mx
import pytest

import magistral_mlx as mm
from support.models import random_model


@pytest.fixture
def chance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    with random_model(tmp_path_factory.mktemp("chance")) as model:
        yield model


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_no_numbers_are_told(chance: mm.Magistral, value: float) -> None:
    loaded = chance._loaded
    assert loaded is not None
    norm = loaded.model.language_model.model.norm
    good = norm.weight
    norm.weight = mx.full(good.shape, value)
    mx.eval(norm.weight)  # on this thread, whose work it is
    chat = chance.conversation()
    for ask in (lambda: chat.ask("One?", max_tokens=3), lambda: chance.ask_many(["One?"], max_tokens=3)):
        with pytest.raises(mm.DeviceError, match="no finite numbers") as told:
            ask()
        assert told.value.remedy
    norm.weight = good
    assert chat.turns == ()
    assert chat.ask("One?", max_tokens=3).stats.cached_tokens == 0
