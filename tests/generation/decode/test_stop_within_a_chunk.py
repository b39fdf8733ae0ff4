"""A chunk of prefill is computed layer by layer: its progress moves and a stop is seen before it ends."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import magistral_mlx as mm
from magistral_mlx.generation.decode import prefill
from support.models import forget_caches, random_model

GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 6}
RED = Image.new("RGB", (84, 56), "red")


@pytest.fixture(scope="module")
def chance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    with random_model(tmp_path_factory.mktemp("chance"), seed=4) as model:
        yield model


@pytest.fixture(autouse=True)
def slow_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every layer counts as slow."""
    monkeypatch.setattr(prefill, "TELL_SECONDS", 0.0)


def progress(stream: mm.AnswerStream) -> list[int]:
    return [event.done for event in stream if isinstance(event, mm.PrefillProgress)]


def test_progress_moves_within_a_single_chunk(chance: mm.Magistral) -> None:
    forget_caches(chance)
    done = progress(chance.stream("What is 4 + 3?", **GREEDY))
    assert done == sorted(done)
    assert len(set(done)) > 2  # more than its beginning and its end
    assert done[0] == 0


@pytest.mark.parametrize("images", [[], [RED]], ids=["text", "image"])
@pytest.mark.parametrize("events", range(1, 4))
@pytest.mark.parametrize("bits", [16, 8])
def test_a_stop_within_a_chunk_leaves_the_conversation_whole(
    chance: mm.Magistral, images: list[Image.Image], events: int, bits: int
) -> None:
    forget_caches(chance)
    expected = chance.conversation(kv_bits=bits).ask("What?", images=images, **GREEDY)
    loaded = chance._loaded
    assert loaded is not None
    forget_caches(chance)
    loaded.features._features.clear()
    chat = chance.conversation(kv_bits=bits)
    with chat.stream("What?", images=images, **GREEDY) as stream:
        for _ in range(events):
            assert isinstance(next(stream), mm.PrefillProgress)
        stream.stop()
        left = progress(stream)
    assert len(left) <= 1
    assert stream.reply().ending is mm.Ending.STOPPED
    assert chat.turns == ()
    cache = loaded.caches.held(chat._history.owner)
    assert cache is None or {layer.offset for layer in cache.layers} == {len(cache)}
    again = chat.ask("What?", images=images, **GREEDY)
    assert (again.reasoning, again.answer) == (expected.reasoning, expected.answer)


def test_a_stop_is_seen_between_the_layers_of_the_vision_tower(chance: mm.Magistral, tmp_path: Path) -> None:
    loaded = chance._loaded
    assert loaded is not None
    forget_caches(chance)
    loaded.features._features.clear()
    before = loaded.features.encoded
    with chance.stream("What?", images=[RED], **GREEDY) as stream:
        next(stream)
        next(stream)
        stream.stop()
        assert len(progress(stream)) <= 1
    assert loaded.features.encoded == before
