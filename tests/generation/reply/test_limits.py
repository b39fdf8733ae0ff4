"""Limits at every position: thoughts end, answers come, endings are honest."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.events import AnswerText, Ending, ReasoningText
from magistral_mlx.generation.reply.limits import SMALLEST_RESERVE, Control, Limits, answer_reserve
from magistral_mlx.generation.reply.loops import SHORTEST_SPAN
from magistral_mlx.generation.reply.splitter import EventSplitter
from magistral_mlx.prompt.tokenizer import Tokenizer

EOS, TOOL_CALLS, ARGS, THINK, END_THINK = 2, 9, 32, 34, 35
THOUGHT, ANSWER = 200, 300  # two ordinary ids and their successors


def run(
    tokenizer: Tokenizer, script: Sequence[int], limits: Limits, *, thinking_open: bool = False
) -> tuple[list[int], Ending | None]:
    """What a model writes that follows `script`; after a forced [/THINK] it goes on behind its own one."""
    control = Control(limits, tokenizer.special, thinking_open=thinking_open)
    written: list[int] = []
    place = 0
    while place < len(script):
        token_id = script[place]
        place += 1
        written.append(token_id)
        verdict = control.push(token_id)
        for forced in verdict.forced:
            written.append(forced)
            verdict = control.push(forced)
            place = script.index(END_THINK) + 1 if END_THINK in script else len(script)
        if verdict.ending is not None:
            return written, verdict.ending
    return written, None


def reply(thought: int, answer: int) -> list[int]:
    """A reply with so many different tokens of thought and of answer."""
    return [THINK, *range(THOUGHT, THOUGHT + thought), END_THINK, *range(ANSWER, ANSWER + answer), EOS]


def test_a_reply_within_its_limits(tokenizer: Tokenizer) -> None:
    script = reply(5, 4)
    assert run(tokenizer, script, Limits(max_tokens=100)) == (script, Ending.COMPLETE)
    assert run(tokenizer, script, Limits(max_tokens=len(script))) == (script, Ending.COMPLETE)


@pytest.mark.parametrize("budget", range(7))
def test_budget_at_every_position(tokenizer: Tokenizer, budget: int) -> None:
    written, ending = run(tokenizer, reply(5, 4), Limits(max_tokens=100, thinking_budget=budget))
    assert ending is Ending.COMPLETE
    assert written == reply(min(budget, 5), 4)


def test_budget_counts_all_thoughts_of_a_reply(tokenizer: Tokenizer) -> None:
    control = Control(Limits(max_tokens=100, thinking_budget=3), tokenizer.special)
    forced = [control.push(i).forced for i in (THINK, 200, 201, END_THINK, 300, THINK, 202, END_THINK, THINK)]
    assert forced == [(), (), (), (), (), (), (END_THINK,), (), (END_THINK,)]


def test_budget_without_a_thought_does_nothing(tokenizer: Tokenizer) -> None:
    script = [*range(ANSWER, ANSWER + 9), EOS]
    assert run(tokenizer, script, Limits(max_tokens=100, thinking_budget=2)) == (script, Ending.COMPLETE)


def test_budget_of_a_thought_that_the_prompt_opened(tokenizer: Tokenizer) -> None:
    limits = Limits(max_tokens=100, thinking_budget=2)
    written, _ = run(tokenizer, reply(5, 4)[1:], limits, thinking_open=True)
    assert written == reply(2, 4)[1:]


@given(thought=st.integers(0, 90), answer=st.integers(0, 90), max_tokens=st.integers(1, 200))
def test_an_answer_has_its_reserve(tokenizer: Tokenizer, thought: int, answer: int, max_tokens: int) -> None:
    reserve = answer_reserve(max_tokens)
    limits = Limits(max_tokens=max_tokens, answer_reserve=reserve)
    written, ending = run(tokenizer, reply(thought, answer), limits)
    assert len(written) <= max_tokens
    if reserve:
        closed = written.index(END_THINK) + 1
        assert max_tokens - closed >= reserve
        assert ending is (Ending.COMPLETE if written[-1] == EOS else Ending.CUT_IN_ANSWER)
    elif END_THINK not in written:
        assert ending is Ending.CUT_IN_REASONING
    whole = reply(thought, answer)
    if len(whole) <= max_tokens - reserve:
        assert (written, ending) == (whole, Ending.COMPLETE)


@pytest.mark.parametrize(
    ("max_tokens", "reserve"), [(1, 0), (31, 0), (32, 8), (100, 25), (4096, 1024), (131_072, 1024)]
)
def test_reserve(max_tokens: int, reserve: int) -> None:
    assert answer_reserve(max_tokens) == reserve
    assert reserve == 0 or reserve >= SMALLEST_RESERVE


@pytest.mark.parametrize("max_tokens", range(1, 12))
def test_without_reserve_the_cut_is_named_by_its_place(tokenizer: Tokenizer, max_tokens: int) -> None:
    written, ending = run(tokenizer, reply(5, 4), Limits(max_tokens=max_tokens))
    assert written == reply(5, 4)[:max_tokens]
    expected = {range(1, 7): Ending.CUT_IN_REASONING, range(7, 12): Ending.CUT_IN_ANSWER}
    assert ending is next(ending for places, ending in expected.items() if max_tokens in places)


@given(
    ids=st.lists(st.one_of(st.sampled_from([EOS, THINK, END_THINK]), st.integers(100, 1123)), max_size=80),
    max_tokens=st.integers(1, 100),
    budget=st.none() | st.integers(0, 50),
    thinking_open=st.booleans(),
)
def test_reasoning_is_never_the_answer(
    tokenizer: Tokenizer, ids: list[int], max_tokens: int, budget: int | None, thinking_open: bool
) -> None:
    """The model writes anything at all; tokens count as thought exactly while a thought is open."""
    limits = Limits(max_tokens=max_tokens, thinking_budget=budget, answer_reserve=answer_reserve(max_tokens))
    control = Control(limits, tokenizer.special, thinking_open=thinking_open)
    splitter = EventSplitter(tokenizer, thinking_open=thinking_open)
    thinking, thought = thinking_open, 0
    queue = list(ids)
    ending = None
    while queue and ending is None:
        token_id = queue.pop(0)
        verdict = control.push(token_id)
        ending = verdict.ending
        pieces = splitter.push(token_id)
        assert not any(isinstance(piece, AnswerText if thinking and token_id != END_THINK else ReasoningText)
                       for piece in pieces if token_id >= 100)  # fmt: skip
        thought += thinking and token_id >= 100
        thinking = (thinking or token_id == THINK) and token_id != END_THINK
        queue[:0] = verdict.forced
    assert budget is None or thought <= budget or (thinking_open and thought <= budget + 1)
    if ending is Ending.CUT_IN_REASONING:
        assert thinking


def test_ending_inside_the_thought_is_no_answer(tokenizer: Tokenizer) -> None:
    script = [THINK, 200, 201, EOS]
    assert run(tokenizer, script, Limits(max_tokens=100)) == (script, Ending.CUT_IN_REASONING)


def test_tool_calls(tokenizer: Tokenizer) -> None:
    script = [THINK, 200, END_THINK, TOOL_CALLS, 300, ARGS, 301, EOS]
    assert run(tokenizer, script, Limits(max_tokens=100)) == (script, Ending.TOOL_CALLS)
    assert run(tokenizer, script, Limits(max_tokens=7))[1] is Ending.CUT_IN_ANSWER


def test_a_loop_in_a_thought_closes_it(tokenizer: Tokenizer) -> None:
    script = [THINK, *[200, 201, 202] * 200, END_THINK, 300, 301, EOS]
    written, ending = run(tokenizer, script, Limits(max_tokens=2000))
    assert ending is Ending.COMPLETE
    assert written[-4:] == [END_THINK, 300, 301, EOS]
    assert len(written) == 1 + SHORTEST_SPAN + 4


def test_a_loop_in_the_answer_ends_it(tokenizer: Tokenizer) -> None:
    script = [THINK, 200, END_THINK, *[300, 301] * 500]
    written, ending = run(tokenizer, script, Limits(max_tokens=2000))
    assert ending is Ending.LOOP
    assert len(written) == 3 + SHORTEST_SPAN


def test_thinking_again_and_again_is_a_loop(tokenizer: Tokenizer) -> None:
    control = Control(Limits(max_tokens=10_000), tokenizer.special)
    cycle = [THINK, 200, 201, END_THINK]
    forced: list[int] = []
    for count in range(10_000):
        verdict = control.push(forced.pop(0) if forced else cycle[count % 4])
        forced += verdict.forced
        if verdict.ending is not None:
            assert verdict.ending is Ending.LOOP
            return
    raise AssertionError
