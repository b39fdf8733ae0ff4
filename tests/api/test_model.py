"""Questions answered end to end, on scripted checkpoints that went through the real converter."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from PIL import Image

import magistral_mlx as mm
from magistral_mlx.generation.reply.loops import SHORTEST_SPAN
from support.models import random_model, scripted
from support.scripted import ARGS, END_THINK, EOS, THINK, TOOL_CALLS, Script, counting

THOUGHT, ANSWER = "Four and three.", "It is **7**, café."
Make = Callable[..., mm.Magistral]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes scripted models and closes them."""
    made: list[mm.Magistral] = []

    def make_one(script: Script, **options: Any) -> mm.Magistral:
        made.append(scripted(tmp_path / str(len(made)), script, **options))
        return made[-1]

    yield make_one
    for model in made:
        model.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    """Thinks, then answers."""
    with scripted(tmp_path_factory.mktemp("model"), [THINK, THOUGHT, END_THINK, ANSWER, EOS]) as model:
        yield model


@pytest.fixture(scope="module")
def chance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    """Random weights."""
    with random_model(tmp_path_factory.mktemp("chance")) as model:
        yield model


def image(colour: str, size: tuple[int, int] = (60, 50)) -> Image.Image:
    return Image.new("RGB", size, colour)


def test_what_a_model_says_of_itself(model: mm.Magistral) -> None:
    assert model.name == "source-4bit"
    assert (model.sees, model.is_miniature, model.context_length) == (True, False, 4096)
    assert model.quantization == "4-bit affine, group 64"
    assert (model.path / "config.json").is_file()


def test_reasoning_and_answer_come_apart(model: mm.Magistral) -> None:
    reply = model.ask("What is 4 + 3?")
    assert (reply.reasoning, reply.answer, reply.ending) == (THOUGHT, ANSWER, mm.Ending.COMPLETE)
    assert reply.tool_calls == ()


def test_stats(model: mm.Magistral) -> None:
    reply = model.ask("What is in it?", images=[image("red")], system="Be brief.")
    stats = reply.stats
    assert stats.image_tokens == 2 * 3
    assert stats.prompt_tokens > stats.image_tokens
    assert stats.reasoning_tokens > 0 < stats.answer_tokens
    assert 0 < stats.prefill_seconds <= stats.time_to_first_token
    assert stats.decode_tokens_per_second > 0 < stats.peak_memory_bytes


def test_events_are_the_reply_in_order(model: mm.Magistral) -> None:
    events = list(model.stream("What is 4 + 3?"))
    finished = events[-1]
    assert isinstance(finished, mm.Finished)
    reply = finished.reply
    progress = [event for event in events if isinstance(event, mm.PrefillProgress)]
    assert events[: len(progress)] == progress
    assert progress[0] == mm.PrefillProgress(reply.stats.cached_tokens, reply.stats.prompt_tokens)
    assert progress[-1] == mm.PrefillProgress(reply.stats.prompt_tokens, reply.stats.prompt_tokens)
    kinds = [type(event) for event in events]
    assert kinds.index(mm.AnswerText) > max(i for i, kind in enumerate(kinds) if kind is mm.ReasoningText)
    assert "".join(event.text for event in events if isinstance(event, mm.ReasoningText)) == reply.reasoning
    assert "".join(event.text for event in events if isinstance(event, mm.AnswerText)) == reply.answer
    assert sum(e.tokens for e in events if isinstance(e, mm.ReasoningText)) == reply.stats.reasoning_tokens


def test_without_thinking_the_thought_is_closed_before_it_begins(make: Make) -> None:
    model = make([THINK, "Hm.", END_THINK, "So.", EOS])
    reply = model.ask("?", thinking=False)
    assert (reply.reasoning, reply.answer, reply.ending) == ("", "So.", mm.Ending.COMPLETE)
    # A model that thinks nevertheless is stopped at once.
    stubborn = make([THINK, "Hm.", EOS], chains={END_THINK: [THINK]})
    assert stubborn.ask("?", thinking=False, max_tokens=20).reasoning == ""


def test_no_thought(make: Make) -> None:
    reply = make(["Seven.", EOS]).ask("?", thinking_budget=1)
    assert (reply.reasoning, reply.answer, reply.ending) == ("", "Seven.", mm.Ending.COMPLETE)


def test_a_thought_that_is_never_closed_is_no_answer(make: Make) -> None:
    reply = make([THINK, "and then it", EOS]).ask("?")
    assert (reply.reasoning, reply.answer) == ("and then it", "")
    assert reply.ending is mm.Ending.CUT_IN_REASONING


def test_an_endless_thought_still_brings_an_answer(make: Make) -> None:
    model = make([THINK, counting(200)], chains={END_THINK: ["Enough.", EOS]})
    reply = model.ask("?", max_tokens=60)
    assert (reply.answer, reply.ending) == ("Enough.", mm.Ending.COMPLETE)
    assert reply.reasoning.startswith("1, 2, 3")
    assert reply.stats.reasoning_tokens == 60 - 15 - 2


def test_literal_tags_stay_text(make: Make) -> None:
    thought, answer = "The closer is spelled [/THINK].", "Write [THINK] and </s> so."
    reply = make([THINK, thought, END_THINK, answer, EOS]).ask("What do [THINK] and [/THINK] mean?")
    assert (reply.reasoning, reply.answer) == (thought, answer)


def test_tool_calls(make: Make) -> None:
    script = [
        THINK,
        "I need tools.",
        END_THINK,
        "One moment.",
        TOOL_CALLS,
        "weather",
        ARGS,
        '{"city": "Bern"}',
        EOS,
    ]
    tool = {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "now",
            "parameters": {"type": "object", "properties": {}},
        },
    }
    model = make(script)
    events = list(model.stream("Weather in Bern?", tools=[tool]))
    call = mm.ToolCall("weather", '{"city": "Bern"}')
    assert call in events
    finished = events[-1]
    assert isinstance(finished, mm.Finished)
    assert finished.reply.ending is mm.Ending.TOOL_CALLS
    assert (finished.reply.tool_calls, finished.reply.answer) == ((call,), "One moment.")
    more = model.ask("Weather in Bern?", tools=[tool]).stats.prompt_tokens
    assert more > model.ask("Weather in Bern?").stats.prompt_tokens


def test_a_loop_in_a_thought_is_left_for_an_answer(make: Make) -> None:
    model = make([THINK, "Wait, ", "let me see. "], loop_to=1, chains={END_THINK: ["Seven.", EOS]})
    reply = model.ask("?")
    assert (reply.answer, reply.ending) == ("Seven.", mm.Ending.COMPLETE)
    assert SHORTEST_SPAN <= reply.stats.reasoning_tokens < SHORTEST_SPAN + 20


def test_a_loop_in_the_answer_is_said(make: Make) -> None:
    reply = make([THINK, "Hm.", END_THINK, "again and again, "], loop_to=3).ask("?")
    assert reply.ending is mm.Ending.LOOP
    assert reply.reasoning == "Hm."
    assert reply.answer.startswith("again and again, again")


def test_max_tokens_at_every_position(model: mm.Magistral) -> None:
    whole = model.ask("?")
    length = whole.stats.reasoning_tokens + whole.stats.answer_tokens + 3  # two tags and the end
    for max_tokens in range(1, length + 2):
        reply = model.ask("?", max_tokens=max_tokens)
        assert whole.reasoning.startswith(reply.reasoning)
        assert whole.answer.startswith(reply.answer)
        if max_tokens >= length:
            expected = mm.Ending.COMPLETE
        elif reply.reasoning == whole.reasoning and max_tokens > whole.stats.reasoning_tokens + 1:
            expected = mm.Ending.CUT_IN_ANSWER
        else:
            expected = mm.Ending.CUT_IN_REASONING
        assert reply.ending is expected


def test_thinking_budget_at_every_position(model: mm.Magistral) -> None:
    whole = model.ask("?")
    for budget in range(whole.stats.reasoning_tokens + 2):
        reply = model.ask("?", thinking_budget=budget)
        assert reply.stats.reasoning_tokens == min(budget, whole.stats.reasoning_tokens)
        assert (reply.answer, reply.ending) == (ANSWER, mm.Ending.COMPLETE)


@pytest.mark.parametrize(
    ("stop", "answer"),
    [("**", "It is "), (["never", "7*"], "It is **"), (["fé"], "It is **7**, ca"), ((), ANSWER)],
)
def test_stop_strings(model: mm.Magistral, stop: str | Sequence[str], answer: str) -> None:
    reply = model.ask("?", stop=stop)
    assert (reply.reasoning, reply.answer, reply.ending) == (THOUGHT, answer, mm.Ending.COMPLETE)


@pytest.fixture
def one_event_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quick machine would else have written the whole reply before its first piece is read."""
    monkeypatch.setattr("magistral_mlx.api.stream._PULL_SECONDS", 0.0)


@pytest.mark.usefixtures("one_event_at_a_time")
def test_a_stop_string_that_is_a_number_is_refused(model: mm.Magistral) -> None:
    with pytest.raises(mm.UsageError, match="stop string"):
        model.ask("?", stop=5)  # type: ignore[arg-type]


def test_stopping_half_way_keeps_what_there_is(model: mm.Magistral) -> None:
    with model.stream("?") as stream:
        for event in stream:
            if isinstance(event, mm.ReasoningText):
                stream.stop()
        reply = stream.reply()
    assert reply.ending is mm.Ending.STOPPED
    assert reply.reasoning
    assert THOUGHT.startswith(reply.reasoning)


def test_stopping_before_the_first_event(model: mm.Magistral) -> None:
    stream = model.stream("?")
    stream.stop()
    assert stream.reply().ending is mm.Ending.STOPPED
    assert list(stream) == []


def test_a_prefill_that_is_stopped_keeps_its_work(model: mm.Magistral) -> None:
    long = counting(700)
    stream = model.stream(long)
    done = 0
    for event in stream:
        if isinstance(event, mm.PrefillProgress) and event.done > 512:
            done = event.done
            assert done < event.total
            stream.stop()
    assert stream.reply().ending is mm.Ending.STOPPED
    assert model.ask(long).stats.cached_tokens == done


def test_an_abandoned_stream_ends_its_reply(model: mm.Magistral) -> None:
    for _ in model.stream("?"):
        break
    stream = model.stream("!")
    next(stream)
    stream.close()
    stream.close()
    assert list(stream) == []
    assert stream.reply().ending is mm.Ending.STOPPED
    assert model.ask("?").answer == ANSWER


def test_an_unread_stream_holds_nobody_up(model: mm.Magistral) -> None:
    first = model.stream("one")
    next(first)
    assert model.ask("two").answer == ANSWER
    assert first.reply().answer == ANSWER


def test_calls_from_any_thread(model: mm.Magistral) -> None:
    replies: list[mm.Reply] = []

    def ask() -> None:
        replies.append(model.ask("?"))
        replies.extend(event.reply for event in model.stream("?") if isinstance(event, mm.Finished))
        mx.eval(model.logits([1, 3, 4]) + 1)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [reply.answer for reply in replies] == [ANSWER] * 6


async def test_calls_from_asyncio(model: mm.Magistral) -> None:
    replies = await asyncio.gather(*(asyncio.to_thread(model.ask, "?") for _ in range(3)))
    assert [reply.answer for reply in replies] == [ANSWER] * 3


def test_a_seed_gives_the_same_reply(chance: mm.Magistral) -> None:
    replies = [chance.ask("?", seed=seed, max_tokens=12, temperature=1.5).answer for seed in (1, 1, 2)]
    assert replies[0] == replies[1] != replies[2]


def test_the_wired_limit_is_never_touched(model: mm.Magistral, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> int:
        raise AssertionError("mx.set_wired_limit was called")

    monkeypatch.setattr(mx, "set_wired_limit", refuse)
    limits: list[int] = []
    monkeypatch.setattr(mx, "set_cache_limit", limits.append)
    with mm.load(model.path) as again:
        assert again.ask("?", images=[image("red")]).answer == ANSWER
    (limit,) = limits
    assert limit >= 256 * 2**20


def out_of_memory(*_: object, **__: object) -> mx.array:
    raise RuntimeError("[malloc] Unable to allocate 17179869184 bytes.")


@pytest.mark.usefixtures("one_event_at_a_time")
def test_running_out_of_memory_keeps_what_there_is(
    model: mm.Magistral, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = model.stream("?")
    for event in stream:
        if isinstance(event, mm.AnswerText):
            monkeypatch.setattr("magistral_mlx.generation.decode.loop.start_evaluating", out_of_memory)
    reply = stream.reply()
    assert reply.ending is mm.Ending.OUT_OF_MEMORY
    assert reply.reasoning == THOUGHT
    assert reply.answer
    assert ANSWER.startswith(reply.answer)
    monkeypatch.undo()
    assert model.ask("?").answer == ANSWER


def test_running_out_of_memory_while_reading(model: mm.Magistral, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("magistral_mlx.generation.decode.prefill.evaluate_layers", out_of_memory)
    reply = model.ask("?")
    assert (reply.reasoning, reply.answer, reply.ending) == ("", "", mm.Ending.OUT_OF_MEMORY)
    monkeypatch.undo()
    assert model.ask("?").answer == ANSWER


def test_a_model_that_does_not_fit(model: mm.Magistral, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mx, "load", out_of_memory)
    with pytest.raises(mm.MemoryLimitError, match="does not fit"):
        mm.load(model.path)


def test_another_error_of_mlx_is_not_swallowed(model: mm.Magistral, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("There is no Stream(gpu, 1) in current thread.")

    monkeypatch.setattr("magistral_mlx.generation.decode.prefill.evaluate_layers", broken)
    with pytest.raises(RuntimeError, match="no Stream"):
        model.ask("?")
    monkeypatch.undo()
    assert model.ask("?").answer == ANSWER


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"temperature": -0.1}, mm.UsageError),
        ({"temperature": float("nan")}, mm.UsageError),
        ({"temperature": "warm"}, mm.UsageError),
        ({"top_p": 0}, mm.UsageError),
        ({"top_p": 1.01}, mm.UsageError),
        ({"max_tokens": 0}, mm.UsageError),
        ({"max_tokens": 2.5}, mm.UsageError),
        ({"thinking_budget": -1}, mm.UsageError),
        ({"thinking": False, "thinking_budget": 5}, mm.UsageError),
        ({"thinking": "no"}, mm.UsageError),
        ({"seed": "x"}, mm.UsageError),
        ({"stop": [""]}, mm.UsageError),
        ({"stop": [3]}, mm.UsageError),
        ({"schema": {"type": "objekt"}}, mm.UsageError),
        ({"images": ["missing.png"]}, mm.ImageError),
        ({"images": [b"no picture"]}, mm.ImageError),
    ],
)
def test_impossible_options(
    model: mm.Magistral, options: dict[str, Any], error: type[mm.MagistralError]
) -> None:
    for ask in (model.ask, model.stream, model.conversation().ask):
        with pytest.raises(error) as caught:
            ask("?", **options)
        assert caught.value.remedy
        assert "\n" not in str(caught.value)


def test_what_is_called_with_events_must_be_a_function(model: mm.Magistral) -> None:
    chat = model.conversation()
    for ask in (model.ask, chat.ask):
        with pytest.raises(mm.UsageError, match="on_event is of type int"):
            ask("?", on_event=3)  # type: ignore[arg-type, operator]
    assert chat.turns == ()
    assert model.ask("?").answer == ANSWER


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_question(model: mm.Magistral, text: str) -> None:
    with pytest.raises(mm.PromptError, match="empty"):
        model.ask(text)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda model: model.ask("Hm?", temprature=0), 'no option "temprature". Did you mean temperature?'),
        (lambda model: model.ask_many(["Hm?"], xyzzy=3), 'no option "xyzzy". There are: thinking,'),
        (lambda model: model.conversation().stream("Hm?", seeds=1), "Did you mean seed?"),
        (lambda model: model.ask("Hm?", system=3), "system is of type int"),
        (lambda model: model.ask_many(["Hm?"], system=3), "system is of type int"),
        (lambda model: model.conversation(system=["x"]), "system is of type list"),
        (lambda model: model.conversation(turns=[("user", "Hm?")]), "A turn is of type tuple"),
        (lambda model: model.ask("Hm?", schema=int), "The schema is the class int"),
        (lambda model: mm.load(3), "The model is of type int"),  # type: ignore[arg-type]  # as people write it
    ],
)
def test_slips_of_the_pen_are_named(model: mm.Magistral, wrong: Callable[[Any], object], told: str) -> None:
    with pytest.raises(mm.UsageError) as slip:
        wrong(model)
    assert told in str(slip.value)


def test_a_single_question_of_many_needs_no_list(model: mm.Magistral) -> None:
    expected = model.ask("Hm?", temperature=0).answer
    for question in ("Hm?", mm.UserTurn("Hm?")):
        assert [reply.answer for reply in model.ask_many(question, temperature=0)] == [expected]


def test_a_model_says_what_it_is(make: Make) -> None:
    with make([THINK, b"Hm", END_THINK, b"Yes", EOS]) as model:
        assert repr(model) == f"<Magistral {model.name}, 4-bit affine, group 64>"
    assert repr(model).endswith(", closed>")


def test_a_question_that_is_no_text(model: mm.Magistral) -> None:
    with pytest.raises(mm.UsageError, match="NoneType"):
        model.ask(None)  # type: ignore[arg-type]


def test_a_single_image_needs_no_list(model: mm.Magistral) -> None:
    assert model.ask("?", images=image("red")).stats.image_tokens == 6  # type: ignore[arg-type]


def test_a_prompt_longer_than_the_context_names_both_numbers(tmp_path: Path, model: mm.Magistral) -> None:
    with random_model(tmp_path, context=64) as small:
        with pytest.raises(mm.ContextOverflow, match=r"has \d+ tokens, the model takes 64"):
            small.ask(counting(40))
        reply = small.ask("?", max_tokens=1000, temperature=0)
        assert reply.stats.prompt_tokens + reply.stats.reasoning_tokens + reply.stats.answer_tokens <= 64
        assert small.ask("?").stats.prompt_tokens == reply.stats.prompt_tokens


def test_a_model_without_eyes_refuses_images(make: Make) -> None:
    model = make(["Yes.", EOS], vision=False)
    assert not model.sees
    with pytest.raises(mm.ImageError, match="cannot see"):
        model.ask("?", images=[image("red")])
    assert model.ask("?").answer == "Yes."


def test_a_closed_model_says_so(make: Make) -> None:
    model = make(["Yes.", EOS])
    chat = model.conversation()
    chat.ask("?")
    model.close()
    model.close()
    for ask in (model.ask, chat.ask):
        with pytest.raises(mm.UsageError, match="closed"):
            ask("?")
    assert chat.context_used == 0


def test_tokenize_is_literal(model: mm.Magistral) -> None:
    assert model.tokenize([{"role": "user", "content": ""}]) == [1, 3, 4]
    with pytest.raises(mm.PromptError):
        model.tokenize([{"role": "wizard", "content": "x"}])


def test_logits_of_a_prompt_with_images(chance: mm.Magistral) -> None:
    def ids(image: Image.Image) -> list[int]:
        chunk = {"type": "image", "image": image}
        content = [chunk, {"type": "text", "text": "Hm?"}]
        return chance.tokenize([{"role": "user", "content": content}])

    red, blue = image("red"), image("blue")
    assert ids(red) == ids(blue)
    logits = chance.logits(ids(red), images=[red])
    assert logits.shape == (len(ids(red)), 1124)
    assert np.array_equal(np.array(logits), np.array(chance.logits(ids(red), images=[red])))
    assert np.abs(np.array(logits) - np.array(chance.logits(ids(red), images=[blue]))).max() > 0.1
    for wrong in ([], [red, blue], [image("red", (200, 200))]):
        with pytest.raises(mm.PromptError, match=r"\[IMG\] positions"):
            chance.logits(ids(red), images=wrong)


@pytest.mark.parametrize("token_ids", [[], [1, 3, 5000], [-1]])
def test_logits_of_impossible_ids(chance: mm.Magistral, token_ids: list[int]) -> None:
    with pytest.raises(mm.PromptError):
        chance.logits(token_ids)
