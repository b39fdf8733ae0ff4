"""R4: an endless loop. In a thought it is broken and there is an answer; in the answer it ends as LOOP."""

import itertools
from collections.abc import Iterable
from pathlib import Path

import pytest

import magistral_mlx as mm
from magistral_mlx.generation.reply.limits import LANDING_TEXT, Control, Limits, soft_landing
from magistral_mlx.generation.reply.loops import COPIES, NEAR_SPAN, SHORTEST_SPAN
from magistral_mlx.prompt.tokenizer import Tokenizer
from support.loop_corpora import TEXTS, one_word_changed
from support.models import scripted
from support.scripted import ARGS, END_THINK, EOS, THINK, TOOL_CALLS, Script
from support.tekken import write_tekken

PERIODS = [1, 2, 3, 5, 16, 60, 128, 200, 400]


@pytest.fixture(scope="module")
def tekken(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """As many text tokens as Magistral has."""
    path = write_tekken(tmp_path_factory.mktemp("tekken"), text_count=130_072)
    return Tokenizer.from_file(path, None)


def steered(
    tokenizer: Tokenizer, ids: Iterable[int], *, thinking: bool
) -> tuple[int, list[int], object] | None:
    """After how many tokens the reply is steered or ended, what it is made to write then, and the ending."""
    control = Control(Limits(max_tokens=1_000_000), tokenizer.special, landing=soft_landing(tokenizer))
    for mark in (THINK,) if thinking else (THINK, END_THINK):
        control.push(mark)
    for count, token_id in enumerate(ids, start=1):
        verdict = control.push(token_id)
        written: list[int] = []
        while verdict.forced:
            written += verdict.forced
            verdict = control.push(verdict.forced[0])
        if written or verdict.ending:
            return count, written, verdict.ending
    return None


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("thinking", [True, False])
def test_every_period_is_found_soon(tekken: Tokenizer, period: int, thinking: bool) -> None:
    cycle = [1000 + 7 * place for place in range(period)]
    found = steered(tekken, itertools.cycle(cycle), thinking=thinking)
    assert found is not None
    count, written, ending = found
    assert count == max(SHORTEST_SPAN, COPIES * period)
    assert ending is (None if thinking else mm.Ending.LOOP)
    landing = [*tekken.encode_text(LANDING_TEXT), END_THINK]
    assert written == (landing if thinking else [])


def test_near_repeats_close_a_thought_and_leave_an_answer_alone(tekken: Tokenizer) -> None:
    ids = tekken.encode_text(one_word_changed())
    found = steered(tekken, ids, thinking=True)
    assert found is not None
    assert found[0] < 2 * NEAR_SPAN
    assert found[1][-1] == END_THINK
    assert steered(tekken, ids, thinking=False) is None


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("thinking", [True, False])
def test_no_false_alarm(tekken: Tokenizer, name: str, thinking: bool) -> None:
    assert steered(tekken, tekken.encode_text(TEXTS[name]), thinking=thinking) is None


def test_a_thought_in_circles_is_broken_and_the_conversation_goes_on(tmp_path: Path) -> None:
    script: Script = [THINK, b"Wait", b" let me see"]
    answer = {END_THINK: [b"Seven", b" it is", EOS]}
    with scripted(tmp_path, script, loop_to=1, chains=answer) as model:
        chat = model.conversation()
        first = chat.ask("What is 4 + 3?")
        assert (first.answer, first.ending) == ("Seven it is", mm.Ending.COMPLETE)
        assert first.reasoning.startswith("Wait let me seeWait let me see")
        assert first.reasoning.endswith(LANDING_TEXT)
        second = chat.ask("Sure?")
        assert (second.answer, second.ending) == ("Seven it is", mm.Ending.COMPLETE)
        generated = first.stats.reasoning_tokens + first.stats.answer_tokens + 3
        assert second.stats.cached_tokens == first.stats.prompt_tokens + generated


def test_an_answer_in_circles_ends_and_says_so(tmp_path: Path) -> None:
    script: Script = [THINK, b"Hmm", END_THINK, b"again", b" and"]
    with scripted(tmp_path, script, loop_to=3) as model:
        reply = model.ask("Hm?")
        assert (reply.reasoning, reply.ending) == ("Hmm", mm.Ending.LOOP)
        assert reply.answer.startswith("again and")
        assert reply.stats.answer_tokens <= SHORTEST_SPAN + 1


def look_up(name: str) -> str:
    """Looks something up."""
    return name


@pytest.mark.parametrize(
    ("script", "loop_to"),
    [
        ([TOOL_CALLS, b"look_up", ARGS, b"again", b" and"], 3),
        ([TOOL_CALLS, b"again", b" and"], 1),
        ([TOOL_CALLS, b"look_up", ARGS, b"{}"], 0),
    ],
    ids=["in its arguments", "in its name", "of calls"],
)
def test_a_tool_call_in_circles_ends_and_calls_nothing(tmp_path: Path, script: Script, loop_to: int) -> None:
    with scripted(tmp_path, script, loop_to=loop_to) as model:
        chat = model.conversation()
        reply = chat.ask("Hm?", tools=[look_up], run_tools=True)
        assert (reply.answer, reply.ending) == ("", mm.Ending.LOOP)
        assert not any(isinstance(turn, mm.ToolTurn) for turn in chat.turns)
        assert chat.ask("And now?").stats.prompt_tokens > 0
