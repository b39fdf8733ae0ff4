"""Loops are found, whatever their period; what only looks alike is none."""

import itertools
from collections.abc import Iterable

import numpy as np
import pytest

from magistral_mlx.generation.reply.loops import (
    COPIES,
    LONGEST_PERIOD,
    NEAR_SPAN,
    SHORTEST_SPAN,
    CycleDetector,
    NearCycleDetector,
)
from magistral_mlx.prompt.tokenizer import Tokenizer
from support.loop_corpora import TEXTS, one_word_changed
from support.tekken import write_tekken


@pytest.fixture(scope="module")
def tekken(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """As many text tokens as Magistral has."""
    path = write_tekken(tmp_path_factory.mktemp("tekken"), text_count=130_072)
    return Tokenizer.from_file(path, None)


def first_alarm(
    ids: Iterable[int], make: type[CycleDetector] | type[NearCycleDetector] = CycleDetector
) -> int | None:
    """How many tokens were read when the alarm came."""
    detector = make()
    for count, token_id in enumerate(ids, start=1):
        if detector.push(token_id):
            return count
    return None


@pytest.mark.parametrize("period", [1, 2, 3, 7, 50, 64, 65, 128, 200, 399, LONGEST_PERIOD])
@pytest.mark.parametrize("before", [0, 5, 4000])
def test_a_cycle_is_found_when_enough_of_it_is_there(period: int, before: int) -> None:
    random = np.random.default_rng(period)
    start = [int(token) for token in random.integers(2000, 100_000, before)]
    cycle = [1000, *(int(token) for token in random.integers(0, 1000, period - 1))]
    span = max(SHORTEST_SPAN, COPIES * period)
    assert first_alarm(itertools.chain(start, itertools.cycle(cycle))) == before + span


def test_a_cycle_longer_than_any_looked_for_is_none() -> None:
    cycle = list(range(LONGEST_PERIOD + 1))
    assert first_alarm(cycle * 20) is None


def test_one_different_token_ends_a_cycle() -> None:
    assert first_alarm(([5] * (SHORTEST_SPAN - 1) + [6]) * 3) is None
    nearly = [[*range(100), 1000 + turn] for turn in range(50)]
    assert first_alarm(itertools.chain.from_iterable(nearly)) is None


@pytest.mark.parametrize("name", TEXTS)
def test_no_alarm_on_what_only_looks_alike(tokenizer: Tokenizer, name: str) -> None:
    assert first_alarm(tokenizer.encode_text(TEXTS[name])) is None


@pytest.mark.parametrize("name", TEXTS)
def test_no_alarm_in_the_tokens_of_the_real_vocabulary(name: str, tekken: Tokenizer) -> None:
    """Larger tokens make fewer of them, and shorter rows."""
    ids = tekken.encode_text(TEXTS[name])
    assert first_alarm(ids) is None
    assert first_alarm(ids, NearCycleDetector) is None


@pytest.mark.parametrize("seed", range(3))
def test_sentences_said_again_and_again_with_one_word_changed(tekken: Tokenizer, seed: int) -> None:
    ids = tekken.encode_text(one_word_changed(seed))
    assert first_alarm(ids) is None
    assert NEAR_SPAN <= (first_alarm(ids, NearCycleDetector) or 0) < 2 * NEAR_SPAN


def test_a_draft_that_is_written_once_more_is_no_cycle(tekken: Tokenizer) -> None:
    draft = tekken.encode_text(TEXTS["code"])[:1500]
    assert first_alarm(draft * 6, NearCycleDetector) is None


def test_few_different_tokens_are_left_to_the_exact_cycles() -> None:
    rows = [[10 + (a == b) for b in range(200)] for a in range(40)]
    ids = list(itertools.chain.from_iterable(rows))
    assert first_alarm(ids, NearCycleDetector) is None
    cycle = [*range(100), *([500] * 100)]
    assert first_alarm(itertools.cycle(cycle), NearCycleDetector) == NEAR_SPAN


def test_after_a_near_cycle_new_text_ends_the_alarm() -> None:
    detector = NearCycleDetector()
    for token_id in list(range(100)) * 30:
        alarm = detector.push(token_id)
    assert alarm
    for token_id in range(1000, 1000 + NEAR_SPAN):
        alarm = detector.push(token_id)
    assert not alarm
