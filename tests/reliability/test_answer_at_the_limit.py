"""R3: an empty answer, or a thought as the answer, at the token limit.

The limit stands at every position of a scripted reply; whatever is cut is named honestly, and `continue_`
goes on without reading anything again, to the same reply that no limit would have cut.
"""

import pickle
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import magistral_mlx as mm
from magistral_mlx.generation.reply.limits import LANDING_TEXT, answer_reserve
from support.models import random_model, scripted
from support.scripted import END_THINK, EOS, THINK, Script, counting

THOUGHT, ANSWER = "Four and three are seven, I think.", "It is seven: 7 — née ✓."
SCRIPT: Script = [THINK, THOUGHT, END_THINK, ANSWER, EOS]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    with scripted(tmp_path_factory.mktemp("scripted"), SCRIPT) as model:
        yield model


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    """Thinks for 900 tokens or so, unless it is told to answer."""
    script: Script = [THINK, counting(700), END_THINK, ANSWER, EOS]
    with scripted(tmp_path_factory.mktemp("endless"), script) as model:
        yield model


@pytest.fixture(scope="module")
def chance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    """Random weights: every token depends on all before it."""
    with random_model(tmp_path_factory.mktemp("chance"), seed=7) as model:
        yield model


def written(reply: mm.Reply) -> int:
    """Tokens of a complete reply: thought, answer, two tags and the end."""
    return reply.stats.reasoning_tokens + reply.stats.answer_tokens + 3


def joined_without_reading(stream: mm.AnswerStream) -> mm.Reply:
    """The reply of a stream that had nothing to read."""
    events = list(stream)
    (progress,) = (event for event in events if isinstance(event, mm.PrefillProgress))
    assert progress.done == progress.total
    last = events[-1]
    assert isinstance(last, mm.Finished)
    stats = last.reply.stats
    assert stats.cached_tokens == stats.prompt_tokens
    return last.reply


def test_the_limit_at_every_position_and_going_on_from_there(model: mm.Magistral) -> None:
    whole = model.ask("What is 4 + 3?")
    assert (whole.reasoning, whole.answer) == (THOUGHT, ANSWER)
    for limit in range(2, written(whole)):
        chat = model.conversation()
        cut = chat.ask("What is 4 + 3?", max_tokens=limit)
        assert cut.ending in (mm.Ending.CUT_IN_ANSWER, mm.Ending.CUT_IN_REASONING)
        assert cut.ending is mm.Ending.CUT_IN_ANSWER or not cut.answer
        assert cut.ending is mm.Ending.CUT_IN_REASONING or cut.answer or cut.reasoning == THOUGHT
        assert ANSWER.startswith(cut.answer.rstrip("\ufffd"))
        assert THOUGHT.startswith(cut.reasoning.removesuffix(LANDING_TEXT).rstrip("\ufffd"))
        assert cut.answer or not answer_reserve(limit)
        joined = joined_without_reading(chat.continue_stream())
        assert (joined.answer, joined.ending) == (ANSWER, mm.Ending.COMPLETE)
        assert joined.reasoning == (cut.reasoning if cut.answer else THOUGHT)
        assert joined.stats.prompt_tokens == cut.stats.prompt_tokens
        assert chat.turns == (mm.UserTurn("What is 4 + 3?"), mm.AssistantTurn(joined.reasoning, ANSWER))


@pytest.mark.parametrize("limit", [32, 33, 60, 200, 500])
def test_an_endless_thought_still_has_its_answer(endless: mm.Magistral, limit: int) -> None:
    reply = endless.ask("Hm?", max_tokens=limit)
    assert reply.ending in (mm.Ending.COMPLETE, mm.Ending.CUT_IN_ANSWER)
    assert reply.answer
    assert ANSWER.startswith(reply.answer.rstrip("\ufffd"))
    assert reply.reasoning.endswith(LANDING_TEXT)


@pytest.mark.parametrize("budget", [0, 1, 5, 12, 40, 200])
def test_an_endless_thought_keeps_its_budget_with_its_landing(endless: mm.Magistral, budget: int) -> None:
    reply = endless.ask("Hm?", thinking_budget=budget)
    assert (reply.answer, reply.ending) == (ANSWER, mm.Ending.COMPLETE)
    assert reply.stats.reasoning_tokens <= budget
    assert reply.stats.reasoning_tokens >= min(budget, budget * 7 // 8 - 1)
    assert reply.reasoning.endswith(LANDING_TEXT) or budget < 40


def test_continuing_piece_by_piece_is_the_same_as_in_one_go(chance: mm.Magistral) -> None:
    whole = chance.ask("Hm?", temperature=0, max_tokens=24)
    reply = chance.ask("Hm?", temperature=0, max_tokens=3)
    for step in (1, 5, 2, 13):
        reply = chance.continue_(reply, step)
        assert reply.stats.cached_tokens == reply.stats.prompt_tokens
    assert (reply.reasoning, reply.answer, reply.ending) == (whole.reasoning, whole.answer, whole.ending)


@settings(max_examples=10)
@given(stop_after=st.integers(1, 12), thinking=st.booleans())
def test_a_stopped_reply_goes_on(chance: mm.Magistral, stop_after: int, thinking: bool) -> None:
    whole = chance.ask("Hm?", temperature=0, max_tokens=25, thinking=thinking)
    chat = chance.conversation()
    stream = chat.stream("Hm?", temperature=0, max_tokens=20, thinking=thinking)
    pieces = 0
    for event in stream:
        pieces += isinstance(event, mm.ReasoningText | mm.AnswerText)
        if pieces >= stop_after:
            stream.stop()
    stopped = stream.reply()
    tokens = stopped.stats.reasoning_tokens + stopped.stats.answer_tokens
    if stopped.ending is mm.Ending.STOPPED and stopped.answer and tokens < 20:
        joined = joined_without_reading(chat.continue_stream(25 - tokens))
        assert whole.answer.startswith(joined.answer.rstrip("\ufffd")[: len(whole.answer)])
        assert joined.answer.startswith(stopped.answer.rstrip("\ufffd"))


def test_a_loop_in_the_answer_goes_on_if_somebody_wants_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    script: Script = [THINK, b"So", END_THINK, b"again", b" and"]
    with scripted(tmp_path_factory.mktemp("loop"), script, loop_to=3) as model:
        reply = model.ask("Hm?", max_tokens=1000)
        assert reply.ending is mm.Ending.LOOP
        more = model.continue_(reply, max_tokens=9)
        assert more.stats.cached_tokens == more.stats.prompt_tokens
        assert more.answer.startswith(reply.answer)
        assert len(more.answer) > len(reply.answer)
        assert more.ending is mm.Ending.CUT_IN_ANSWER


def test_a_model_that_ends_its_turn_inside_the_thought_answers_after_all(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    script: Script = [THINK, b"Hmm", EOS]
    with scripted(tmp_path_factory.mktemp("mute"), script, chains={END_THINK: [b"Seven", EOS]}) as model:
        chat = model.conversation()
        reply = chat.ask("Hm?")
        assert (reply.reasoning, reply.answer, reply.ending) == ("Hmm", "", mm.Ending.CUT_IN_REASONING)
        more = chat.continue_()
        assert (more.reasoning, more.answer, more.ending) == ("Hmm", "Seven", mm.Ending.COMPLETE)


def test_what_cannot_go_on_says_so(model: mm.Magistral) -> None:
    chat = model.conversation()
    with pytest.raises(mm.UsageError, match="no reply"):
        chat.continue_()
    cut = chat.ask("One?", max_tokens=5)
    chat.ask("Two?")
    with pytest.raises(mm.UsageError, match="complete"):
        chat.continue_()
    with pytest.raises(mm.UsageError, match="not of a single question"):
        model.continue_(cut)
    with pytest.raises(mm.UsageError, match="complete"):
        model.continue_(model.ask("Three?"))
    assert len(chat.turns) == 4


def test_a_reply_is_a_value_that_goes_on_from_its_own_end_each_time(model: mm.Magistral) -> None:
    """The same reply may be continued twice, and one that another question came after."""
    cut = model.ask("Three?", max_tokens=4)
    model.ask("Four?")
    assert pickle.loads(pickle.dumps(cut)) == cut
    assert model.continue_(cut).answer == ANSWER
    again = model.continue_(cut, 3)
    assert again.ending is not mm.Ending.COMPLETE
    assert model.continue_(again).answer == ANSWER


def test_going_on_after_the_cache_had_to_go(model: mm.Magistral) -> None:
    chat = model.conversation()
    chat.ask("One?", max_tokens=6)
    chat.forget_cache()
    joined = chat.continue_()
    assert (joined.reasoning, joined.answer) == (THOUGHT, ANSWER)


def test_going_on_from_text_alone(model: mm.Magistral) -> None:
    """As after a restart: the ids are gone, the text is there."""
    turns = (mm.UserTurn("One?"), mm.AssistantTurn("Four and three", ""))
    joined = model.conversation(turns=turns).continue_()
    assert joined.reasoning.startswith("Four and three")
    turns = (mm.UserTurn("One?"), mm.AssistantTurn(THOUGHT, "It is"))
    assert model.conversation(turns=turns).continue_().answer.startswith("It is")


@settings(max_examples=15)
@given(limit=st.integers(2, 40), budget=st.none() | st.integers(0, 20))
def test_a_thought_is_never_the_answer(model: mm.Magistral, limit: int, budget: int | None) -> None:
    reply = model.ask("What is 4 + 3?", max_tokens=limit, thinking_budget=budget)
    assert ANSWER.startswith(reply.answer.rstrip("\ufffd"))
    assert reply.ending is not mm.Ending.COMPLETE or reply.answer == ANSWER
