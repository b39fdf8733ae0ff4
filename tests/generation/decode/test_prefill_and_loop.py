"""Prefill and decode on random weights: chunks, images on their edges, forced tokens, memory."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from PIL import Image

from magistral_mlx.events import PrefillProgress
from magistral_mlx.generation.cache.prompt_cache import PromptCache, position_keys
from magistral_mlx.generation.decode.loop import DecodeLoop, Row
from magistral_mlx.generation.decode.next_token import Sampled
from magistral_mlx.generation.decode.prefill import PromptReader, prefill
from magistral_mlx.generation.decode.sampling import PositionSampler
from magistral_mlx.generation.decode.speculation import Drafted, Pace
from magistral_mlx.generation.loaded_model import LoadedModel, open_model
from magistral_mlx.generation.options import Options
from magistral_mlx.prompt.chat import compose, encode
from magistral_mlx.prompt.turns import PreparedPrompt, UserTurn
from support.decoding import decode, greedy
from support.random_checkpoint import write_converted


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return open_model(write_converted(tmp_path_factory.mktemp("random"), seed=2))


@pytest.fixture(scope="module")
def prompt(loaded: LoadedModel) -> PreparedPrompt:
    """Two images of different size between text, 40 to 60 positions."""
    images = tuple(Image.effect_noise(size, 90).convert("RGB") for size in ((84, 56), (56, 112)))
    messages = compose([UserTurn("What?", images)], system=None, system_prompt=None, thinking=False)
    return encode(loaded.tokenizer, messages)


class Run:
    """One prompt on its way through the model."""

    def __init__(self, loaded: LoadedModel, prompt: PreparedPrompt) -> None:
        self.loaded = loaded
        self.cache = PromptCache(loaded.model)
        self.keys = position_keys(prompt, image_id=10)
        self.reader = PromptReader(loaded.model, loaded.features, prompt, image_id=10)
        self.progress: list[PrefillProgress] = []

    def prefill(self, step: int) -> mx.array:
        return yield_all(
            prefill(self.loaded.model, self.cache, self.reader, self.keys, step_at=lambda held: step),
            self.progress,
        )


def yield_all(reading: "Iterator[PrefillProgress]", progress: list[PrefillProgress]) -> mx.array:
    while True:
        try:
            progress.append(next(reading))
        except StopIteration as end:
            value = end.value
            assert isinstance(value, mx.array)
            return value


@pytest.mark.parametrize("step", [1, 2, 5, 7, 16, 1000])
def test_chunks_change_nothing(loaded: LoadedModel, prompt: PreparedPrompt, step: int) -> None:
    features = [loaded.features.features(image) for image in prompt.images]
    embeddings = loaded.model.embed_prompt(prompt.token_ids, features)
    whole = loaded.model(mx.array([prompt.token_ids]), embeddings=embeddings[None])[0, -1]
    run = Run(loaded, prompt)
    logits = run.prefill(step)
    assert np.abs(np.array(logits[0]) - np.array(whole)).max() < 1e-4
    total = len(prompt.token_ids)
    done = [0, *range(step, total, step), total]
    assert run.progress == [PrefillProgress(each, total) for each in done]
    assert len(run.cache) == run.cache.layers[0].offset == total


def test_a_prefill_left_half_way_goes_on_there(loaded: LoadedModel, prompt: PreparedPrompt) -> None:
    run = Run(loaded, prompt)
    reading = prefill(loaded.model, run.cache, run.reader, run.keys, step_at=lambda held: 8)
    for _ in range(3):
        next(reading)
    reading.close()
    assert run.cache.match(run.keys) == 16
    logits = run.prefill(8)
    assert run.progress[0].done == 16
    assert np.allclose(np.array(logits), np.array(Run(loaded, prompt).prefill(8)), atol=1e-4)


def test_only_one_position_goes_through_the_head(
    loaded: LoadedModel, prompt: PreparedPrompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[tuple[int, ...]] = []
    head = type(loaded.model).head

    def recorded(model: object, hidden: mx.array) -> mx.array:
        shapes.append(hidden.shape)
        return head(loaded.model, hidden)

    monkeypatch.setattr(type(loaded.model), "head", recorded)
    Run(loaded, prompt).prefill(10)
    assert shapes == [(1, 64)]


def greedy_ids(run: Run, count: int, *, step: int = 512) -> list[int]:
    return list(itertools.islice(decode(run.loaded.model, run.cache, run.prefill(step), greedy()), count))


def test_decoding_equals_reading_again(loaded: LoadedModel, prompt: PreparedPrompt) -> None:
    """Each token is the likeliest one of a fresh pass over everything before it."""
    run = Run(loaded, prompt)
    ids = greedy_ids(run, 6)
    assert len(run.cache) == run.cache.layers[0].offset == len(prompt.token_ids) + 6
    features = [loaded.features.features(image) for image in prompt.images]
    for count, token_id in enumerate(ids):
        embeddings = loaded.model.embed_prompt((*prompt.token_ids, *ids[:count]), features)
        logits = loaded.model(mx.zeros((1, embeddings.shape[0]), mx.int32), embeddings=embeddings[None])
        assert mx.argmax(logits[0, -1]).item() == token_id


def test_forced_tokens_come_next_and_are_remembered(loaded: LoadedModel, prompt: PreparedPrompt) -> None:
    run = Run(loaded, prompt)
    writing = decode(loaded.model, run.cache, run.prefill(512), greedy())
    first = next(writing)
    forced = (first + 1) % 1000 + 100, (first + 7) % 1000 + 100
    assert writing.send(forced) == forced[0]
    assert next(writing) == forced[1]
    after = [next(writing) for _ in range(3)]
    writing.close()
    assert run.cache.layers[0].offset == len(run.cache) == len(prompt.token_ids) + 6
    longer = PreparedPrompt((*prompt.token_ids, first, *forced), prompt.images)
    assert greedy_ids(Run(loaded, longer), 3) == after


@pytest.mark.parametrize("alone", range(4))
def test_a_row_that_joins_changes_nothing_for_one_that_is_drafted_for(
    loaded: LoadedModel, prompt: PreparedPrompt, alone: int
) -> None:
    """Also in the middle of a confirmed draft; and the row that stays last goes on when the other leaves."""
    long, short = prompt, PreparedPrompt((1, 3, 200, 201, 4))
    expected = [greedy_ids(Run(loaded, each), 12) for each in (long, short)]
    sampler = PositionSampler(Options(temperature=0))
    runs = [Run(loaded, each) for each in (long, short)]
    drafted = Drafted(sampler, Foreseen(expected[0]), Pace(always=True))
    first = Row(runs[0].cache, drafted, runs[0].prefill(512))
    second = Row(runs[1].cache, Sampled(sampler), runs[1].prefill(512))
    said: dict[Row, list[int]] = {first: [], second: []}
    loop = DecodeLoop(loaded.model)
    loop.join(first)
    for step in range(10):
        if step == alone:
            assert first.confirmed or not alone
            loop.join(second)
            assert not first.confirmed
        if step == 8:
            loop.leave(first)
        for row, token_id in loop.step():
            said[row].append(token_id)
    assert said[first] == expected[0][:8]
    assert said[second] == expected[1][: 10 - alone]


class Foreseen:
    """Drafts what a list says."""

    def __init__(self, tokens: list[int]) -> None:
        self._tokens = tokens
        self._position = 0

    def push(self, token_id: int) -> None:
        self._position += 1

    def draft(self, *pending: int, most: int) -> list[int]:
        start = self._position + len(pending)
        return self._tokens[start : start + most]


@pytest.mark.parametrize("tokens", range(5))
def test_leaving_at_any_token_keeps_cache_and_record_together(
    loaded: LoadedModel, prompt: PreparedPrompt, tokens: int
) -> None:
    run = Run(loaded, prompt)
    ids = greedy_ids(run, tokens)
    again = Run(loaded, PreparedPrompt((*prompt.token_ids, *ids, 200), prompt.images))
    cold = greedy_ids(again, 4)
    again.cache = run.cache
    assert again.cache.match(again.keys) == len(prompt.token_ids) + tokens
    assert greedy_ids(again, 4) == cold


def test_peak_memory_is_flat_in_the_length_of_the_prompt(tmp_path: Path, loaded: LoadedModel) -> None:
    """Beside the KV cache, 3,000 tokens take no more than 1,000: embeddings and logits are per chunk."""

    def peak(count: int) -> int:
        ids = tuple(100 + place % 1000 for place in range(count))
        run = Run(loaded, PreparedPrompt(ids))
        mx.clear_cache()
        mx.reset_peak_memory()
        before = mx.get_active_memory()
        run.prefill(256)
        return mx.get_peak_memory() - before - run.cache.nbytes

    peak(300)  # what is allocated once
    # Attention scores of the CPU backend grow with the context: 256 x 4 heads x 4 bytes per position.
    assert peak(3000) - peak(1000) < 2000 * 256 * 4 * 4 * 1.5 + 2**20
