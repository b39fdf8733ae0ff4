"""Drafts change the number of passes and nothing else."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import magistral_mlx as mm
from magistral_mlx.checkpoint.config import parse_config
from magistral_mlx.generation.cache.prompt_cache import PromptCache
from magistral_mlx.generation.decode.drafts import NgramDrafter
from magistral_mlx.generation.decode.loop import Row
from magistral_mlx.generation.decode.next_token import Sampled
from magistral_mlx.generation.decode.sampling import PositionSampler
from magistral_mlx.generation.decode.speculation import LONGEST_DRAFT, SHORTEST_DRAFT, Drafted, Pace
from magistral_mlx.generation.options import Options
from magistral_mlx.model.magistral import MagistralModel
from support.decoding import decode, greedy, written_by
from support.models import random_model, scripted
from support.random_checkpoint import random_weights, tiny_config, write_converted
from support.scripted import END_THINK, EOS, THINK, counting
from support.tekken import VOCAB_SIZE

PROMPT = [1, 3, 200, 201, 202, 4]
COUNT = 40


@pytest.fixture(scope="module")
def model() -> MagistralModel:
    config = tiny_config(vision=False)
    made = MagistralModel(parse_config(config))
    made.load_weights(list(random_weights(config, dtype=mx.float32).items()))
    return made


class Oracle:
    """Guesses what a list says, with mistakes where another list says so."""

    def __init__(self, truth: Sequence[int], wrong: Sequence[bool]) -> None:
        self._truth = [
            token + 1 if mistaken else token for token, mistaken in zip(truth, itertools.cycle(wrong))
        ]
        self._position = 0

    def push(self, token_id: int) -> None:
        self._position += 1

    def draft(self, *pending: int, most: int) -> list[int]:
        start = self._position + len(pending)
        return self._truth[start : start + most]


def written(
    writing: Any, cache: PromptCache, *, count: int = COUNT, forced: dict[int, list[int]] | None = None
) -> list[int]:
    """The first tokens, with some forced after others; the record is checked at each."""
    tokens = [next(writing)]
    while len(tokens) < count:
        assert len(cache) == len(PROMPT) + len(tokens)
        tokens.append(writing.send((forced or {}).get(len(tokens), ())))
    writing.close()
    assert all(layer.offset >= len(cache) for layer in cache.layers)
    return tokens


def prompted(model: MagistralModel) -> tuple[PromptCache, mx.array]:
    cache = PromptCache(model)
    logits = model(mx.array(PROMPT)[None], cache=cache.layers)[:, -1, :]
    cache.extend(PROMPT)
    return cache, logits


@settings(max_examples=8)
@given(
    wrong=st.lists(st.booleans(), min_size=1, max_size=9),
    temperature=st.sampled_from([0.0, 0.7, 1.5]),
    forced=st.dictionaries(st.integers(1, COUNT), st.lists(st.integers(100, 300), max_size=3), max_size=3),
)
def test_any_drafts_give_the_same_tokens(
    model: MagistralModel, wrong: list[bool], temperature: float, forced: dict[int, list[int]]
) -> None:
    sampler = PositionSampler(Options(temperature=temperature, seed=11))
    cache, logits = prompted(model)
    plain = written(decode(model, cache, logits, Sampled(sampler)), cache, forced=forced)
    cache, logits = prompted(model)
    drafted = Drafted(sampler, Oracle([*plain, *PROMPT], wrong), Pace(always=True))
    ahead = written(decode(model, cache, logits, drafted), cache, forced=forced)
    assert ahead == plain
    # What is in the cache is right as well: the next token follows from it.
    again = model(mx.array([7])[None], cache=cache.layers)[0, -1]
    fresh = model(mx.array([*PROMPT, *plain, 7])[None])[0, -1]
    assert cast("float", mx.abs(again - fresh).max().item()) < 1e-3


def test_right_drafts_need_few_passes(model: MagistralModel) -> None:
    cache, logits = prompted(model)
    plain = written(decode(model, cache, logits, greedy()), cache)
    cache, logits = prompted(model)
    oracle = Oracle([*plain, *PROMPT * 9], [False])
    row = Row(cache, Drafted(PositionSampler(Options(temperature=0)), oracle, Pace(always=True)), logits)
    written(written_by(model, row), cache)
    assert row.passes <= COUNT // 5


class Chain:
    """A model whose next token depends on the last one by a table of logits [n, n]."""

    def __init__(self, table: mx.array) -> None:
        self._table = table

    def __call__(self, token_ids: mx.array, *, cache: object) -> mx.array:
        return self._table[token_ids]


class Record(list[int]):
    """What the decode loop needs of a PromptCache."""

    layers: tuple[()] = ()

    def extend(self, keys: Iterable[int], *, logits: mx.array | None = None) -> None:  # type: ignore[override]  # as PromptCache's
        assert logits is not None
        super().extend(keys)


class Likeliest:
    """Guesses the likeliest followers, or the unlikeliest, or always the same."""

    def __init__(self, table: mx.array, kind: str) -> None:
        best = mx.argmax(table, axis=1) if kind == "likeliest" else mx.argmin(table, axis=1)
        self._follower = cast("list[int]", best.tolist()) if kind != "same" else [0] * table.shape[0]
        self._last = 0

    def push(self, token_id: int) -> None:
        self._last = token_id

    def draft(self, *pending: int, most: int) -> list[int]:
        draft = [*pending, self._last][:1]
        for _ in range(most):
            draft.append(self._follower[draft[-1]])
        return draft[1:]


@pytest.mark.parametrize("kind", ["likeliest", "unlikeliest", "same"])
def test_what_is_drawn_has_the_models_distribution(kind: str) -> None:
    """Chi-square over the followers of each of 6 tokens, 1,500 tokens: below the 99.9 % quantile."""
    size, count, quantile = 6, 1500, 20.52  # of chi-square with 5 degrees of freedom
    table = 1.5 * mx.random.normal([size, size], key=mx.random.key(3))
    sampler = PositionSampler(Options(temperature=1.0, top_p=1.0, seed=5))
    chain: Any = Chain(table)
    record: Any = Record()
    row = Row(record, Drafted(sampler, Likeliest(table, kind), Pace(always=True)), table[:1])
    tokens = list(itertools.islice(written_by(chain, row), count))
    assert row.passes < count or kind != "likeliest"
    expected = np.array(mx.softmax(table, axis=1))
    for token in range(size):
        followers = [b for a, b in itertools.pairwise(tokens) if a == token]
        seen = np.bincount(followers, minlength=size)
        due = expected[token] * len(followers)
        assert float(((seen - due) ** 2 / due).sum()) < quantile


def test_the_same_seed_gives_the_same_draws_in_any_grouping() -> None:
    logits = mx.random.normal([8, 50], key=mx.random.key(1))
    draws = PositionSampler(Options(temperature=1.0, seed=3))
    together = cast("list[int]", draws.at(logits, 4).tolist())
    assert [draws.at(logits[row : row + 1], 4 + row).item() for row in range(8)] == together
    assert len(set(together)) > 1


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(1, 9))
def test_ngram_drafts_are_what_followed_the_last_time(tokens: list[int], most: int) -> None:
    drafter = NgramDrafter(tokens[: len(tokens) // 2], never=frozenset({3}))
    for token in tokens[len(tokens) // 2 :]:
        drafter.push(token)
    assert drafter.draft(most=most) == brute_force(tokens, most)
    assert drafter.draft(1, 2, most=most) == brute_force([*tokens, 1, 2], most)


def brute_force(tokens: list[int], most: int) -> list[int]:
    for ngram in (5, 4, 3):
        for end in range(len(tokens) - 1, ngram - 1, -1):
            if tokens[end - ngram : end] == tokens[len(tokens) - ngram :]:
                repeated = (tokens[end:] * most)[:most]
                return list(itertools.takewhile(lambda token: token != 3, repeated))
    return []


def test_a_long_text_is_grown_into() -> None:
    drafter = NgramDrafter([], never=frozenset())
    for token in [*range(1500), 700, 701, 702]:
        drafter.push(token)
    assert drafter.draft(most=4) == [703, 704, 705, 706]


def test_the_pace_rests_while_it_does_not_pay_and_tries_again() -> None:
    pace = Pace()
    for _ in range(5):
        pace.single(1.0)
    for _ in range(3):
        assert pace.speculates
        pace.several(3.0, drafted=4, accepted=0)
    assert not pace.speculates
    assert pace.length == SHORTEST_DRAFT
    rests = 0
    while not pace.speculates:
        pace.single(1.0)
        rests += 1
    assert rests == 64
    for _ in range(3):
        pace.several(3.0, drafted=2, accepted=0)
    for _ in range(64):
        pace.single(1.0)
    assert not pace.speculates  # twice as long now
    for _ in range(64):
        pace.single(None)
    for _ in range(20):
        assert pace.speculates
        pace.several(2.0, drafted=pace.length, accepted=pace.length)
    assert pace.length == LONGEST_DRAFT


Make = Callable[..., mm.Magistral]


@pytest.fixture(scope="module")
def chance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    with random_model(tmp_path_factory.mktemp("chance")) as loaded:
        yield loaded


@pytest.mark.parametrize("options", [{"temperature": 0}, {"temperature": 1.0, "seed": 4}])
def test_replies_with_images_and_budgets_are_the_same(chance: mm.Magistral, options: dict[str, Any]) -> None:
    image = Image.new("RGB", (60, 50), "red")
    for more in ({"thinking_budget": 7}, {"max_tokens": 33, "stop": ["e"]}):
        both = [
            chance.ask("Hi", images=[image], speculation=speculation, **{"max_tokens": 80, **options, **more})
            for speculation in (False, True, None)
        ]
        assert len({(reply.reasoning, reply.answer, reply.ending) for reply in both}) == 1


def test_control_is_exact_inside_a_draft(tmp_path: Path) -> None:
    script = [THINK, counting(15)]
    with scripted(tmp_path, script, loop_to=1, chains={END_THINK: ["Enough.", EOS]}) as model:
        for budget in (40, 41, 42, 43, 57):
            ahead, plain = (
                model.ask("Count", speculation=speculation, thinking_budget=budget, temperature=0)
                for speculation in (True, False)
            )
            assert (ahead.reasoning, ahead.answer) == (plain.reasoning, plain.answer)
            assert ahead.stats.reasoning_tokens == plain.stats.reasoning_tokens
            assert ahead.stats.decode_passes < plain.stats.decode_passes
        chat = model.conversation()
        first = chat.ask("Count", speculation=True, max_tokens=90)
        second = chat.ask("Again", speculation=True, max_tokens=90)
        assert second.reasoning == first.reasoning
        assert second.stats.cached_tokens >= first.stats.prompt_tokens


def test_a_draft_model_of_the_same_tokenizer(tmp_path: Path) -> None:
    for name, seed, vision in (("large", 0, True), ("small", 0, False), ("other", 1, True)):
        write_converted(tmp_path / name, config=tiny_config(vision=vision), seed=seed)
    image = Image.new("RGB", (60, 50), "blue")
    with mm.load(tmp_path / "large") as alone:
        questions: list[dict[str, Any]] = [
            {"temperature": 0},
            {"temperature": 1.0, "seed": 9},
            {"temperature": 0, "images": [image]},
        ]
        plain = [alone.ask("Hi", max_tokens=40, speculation=False, **more) for more in questions]
    for name in ("small", "other", "large"):
        with mm.load(tmp_path / "large", draft=tmp_path / name) as model:
            for expected, more in zip(plain, questions, strict=True):
                reply = model.ask("Hi", max_tokens=40, speculation=True, **more)
                assert (reply.reasoning, reply.answer) == (expected.reasoning, expected.answer)
            if name == "large":
                assert reply.stats.decode_passes < 20


def test_a_draft_model_of_another_tokenizer_is_refused(tmp_path: Path) -> None:
    write_converted(tmp_path / "large", config=tiny_config())
    with (
        scripted(tmp_path / "small", ["Hm.", EOS]) as small,
        pytest.raises(mm.UsageError, match="can't draft for large: their tokenizers have"),
    ):
        mm.load(tmp_path / "large", draft=small.path)


def test_log_probabilities_are_the_models_own(chance: mm.Magistral) -> None:
    reply = chance.ask("Hi", temperature=0.3, seed=2, max_tokens=12, logprobs=3)
    assert reply.logprobs is not None
    ids = [token.token_id for token in reply.logprobs]
    assert len(ids) == 12
    assert all(0 <= token_id < VOCAB_SIZE for token_id in ids)
    for token in reply.logprobs:
        assert [entry.logprob for entry in token.top] == sorted((e.logprob for e in token.top), reverse=True)
        assert token.logprob <= token.top[0].logprob + 1e-6
        assert len(token.top) == 3
    assert chance.ask("Hi", max_tokens=3).logprobs is None
    plain = chance.ask("Hi", temperature=0, max_tokens=5, logprobs=True).logprobs
    assert plain is not None
    assert all(token.top == () for token in plain)
    for bad in ({"logprobs": 21}, {"logprobs": -1}, {"logprobs": True, "schema": {}}):
        with pytest.raises(mm.UsageError):
            chance.ask("Hi", **cast("Any", bad))
