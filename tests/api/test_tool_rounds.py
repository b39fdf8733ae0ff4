"""Tools end to end: calls of several tools in one reply, and everything that can go wrong with them."""

import json
from collections.abc import Iterator

import pytest

import magistral_mlx as mm
from support.dictated import dictate
from support.models import random_model
from support.scripted import ARGS, END_THINK, EOS, THINK, TOOL_CALLS, Script


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    with random_model(tmp_path_factory.mktemp("model"), seed=4) as model:
        yield model


class Desk:
    """Two tools that remember how they were called."""

    def __init__(self) -> None:
        self.called: list[tuple[object, ...]] = []

    def weather(self, city: str) -> dict[str, str]:
        """Tells the weather."""
        self.called.append(("weather", city))
        return {"sky": f"clear over {city}"}

    def add(self, one: int, two: int) -> int:
        """Adds two numbers."""
        self.called.append(("add", one, two))
        return one + two


def call(name: str, arguments: str) -> Script:
    return [TOOL_CALLS, name, ARGS, arguments]


ANSWER: Script = [THINK, "Both are there.", END_THINK, "Clear, and 7.", EOS]
BOTH: Script = [
    *[THINK, "I need two things.", END_THINK],
    *call("weather", '{"city": "Bern"}'),
    *call("add", '{"one": 3, "two": 4}'),
    EOS,
]


def results(chat: mm.Conversation) -> list[tuple[str, object]]:
    """What the tools gave back, by name, in the order of the history."""
    return [(turn.name, json.loads(turn.content)) for turn in chat.turns if isinstance(turn, mm.ToolTurn)]


def test_two_tools_in_one_reply(model: mm.Magistral, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, events = Desk(), list[mm.Event]()
    dictate(monkeypatch, model, BOTH, ANSWER)
    chat = model.conversation()
    reply = chat.ask("?", tools=[desk.weather, desk.add], run_tools=True, on_event=events.append)
    assert (reply.reasoning, reply.answer, reply.ending) == (
        "Both are there.",
        "Clear, and 7.",
        mm.Ending.COMPLETE,
    )
    assert desk.called == [("weather", "Bern"), ("add", 3, 4)]
    assert results(chat) == [("weather", {"sky": "clear over Bern"}), ("add", 7)]
    assert [event.name for event in events if isinstance(event, mm.ToolCall)] == ["weather", "add"]
    # What was asked, thought and called is not read again.
    first = next(event.reply for event in events if isinstance(event, mm.Finished))
    assert reply.stats.cached_tokens > first.stats.prompt_tokens


def test_the_same_tool_twice_and_results_in_any_order(
    model: mm.Magistral, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk()
    twice: Script = [*call("add", '{"one": 1, "two": 1}'), *call("add", '{"one": 2, "two": 2}'), EOS]
    dictate(monkeypatch, model, twice, ANSWER, BOTH, ANSWER)
    chat = model.conversation()
    chat.ask("?", tools=[desk.weather, desk.add], run_tools=True)
    assert results(chat) == [("add", 2), ("add", 4)]
    chat = model.conversation()
    assert chat.ask("?", tools=[desk.weather, desk.add]).ending is mm.Ending.TOOL_CALLS
    by_hand = mm.ToolTurn("add", "7"), mm.ToolTurn("weather", "clear")
    assert chat.answer_results(*by_hand).reply().answer == "Clear, and 7."


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("wether", "{}", "there is no such tool; there are: weather, add"),
        ("get weather!", "{}", "there is no such tool; there are: weather, add"),
        ("x" * 80, "{}", "there is no such tool; there are: weather, add"),
        ("add", '{"one": 3', "Invalid JSON"),
        ("add", "", "Invalid JSON"),
        ("add", "[3, 4]", "Input should be an object"),
        ("add", '{"one": 3}', "two: Field required"),
        ("add", '{"one": "three", "two": 4}', "one: Input should be a valid integer"),
    ],
)
def test_what_the_model_does_wrong_is_told_to_it(
    model: mm.Magistral, monkeypatch: pytest.MonkeyPatch, name: str, arguments: str, told: str
) -> None:
    desk = Desk()
    wrong: Script = [*call("weather", '{"city": "Bern"}'), *call(name, arguments), EOS]
    dictate(monkeypatch, model, wrong, BOTH, ANSWER, ANSWER)
    chat = model.conversation()
    reply = chat.ask("?", tools=[desk.weather, desk.add], run_tools=True)
    assert reply.answer == "Clear, and 7."
    assert desk.called == [("weather", "Bern"), ("weather", "Bern"), ("add", 3, 4)]
    _, (_, problem), *_ = results(chat)
    assert isinstance(problem, dict)
    assert told in problem["error"]
    assert chat.ask("And now?").answer == "Clear, and 7."  # the history can still be sent


def test_a_tool_that_fails_is_told_to_the_model(model: mm.Magistral, monkeypatch: pytest.MonkeyPatch) -> None:
    def weather(city: str) -> str:
        raise ConnectionError(f"no way to {city}")

    dictate(monkeypatch, model, BOTH, ANSWER)
    chat = model.conversation()
    assert chat.ask("?", tools=[weather, Desk().add], run_tools=True).answer == "Clear, and 7."
    assert results(chat) == [("weather", {"error": "ConnectionError: no way to Bern"}), ("add", 7)]


def test_ctrl_c_in_a_tool_ends_the_round(model: mm.Magistral, monkeypatch: pytest.MonkeyPatch) -> None:
    def weather(city: str) -> str:
        raise KeyboardInterrupt

    dictate(monkeypatch, model, BOTH, ANSWER)
    chat = model.conversation()
    with pytest.raises(KeyboardInterrupt):
        chat.ask("?", tools=[weather, Desk().add], run_tools=True)
    assert chat.ask("Then without.").answer == "Clear, and 7."  # calls without results are left out


def test_the_limit_of_steps_gives_the_calls(model: mm.Magistral, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    dictate(monkeypatch, model, BOTH, BOTH, BOTH, ANSWER)
    chat = model.conversation()
    reply = chat.ask("?", tools=[desk.weather, desk.add], run_tools=True, max_steps=2)
    assert reply.ending is mm.Ending.TOOL_CALLS
    assert [each.name for each in reply.tool_calls] == ["weather", "add"]
    assert len(desk.called) == 4
    last = mm.ToolTurn("weather", "clear"), mm.ToolTurn("add", "7")
    assert chat.answer_results(*last).reply().ending is mm.Ending.COMPLETE


def test_a_call_that_was_cut_off_goes_on(model: mm.Magistral, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    dictate(monkeypatch, model, BOTH, BOTH, ANSWER)
    chat = model.conversation()
    tools = [desk.weather, desk.add]
    cut = chat.ask("?", tools=tools, max_tokens=20)
    assert (cut.ending, cut.tool_calls) == (mm.Ending.CUT_IN_ANSWER, ())
    whole = chat.continue_()
    assert whole.ending is mm.Ending.TOOL_CALLS
    assert whole.tool_calls == (
        mm.ToolCall("weather", '{"city": "Bern"}'),
        mm.ToolCall("add", '{"one": 3, "two": 4}'),
    )
    by_hand = mm.ToolTurn("weather", "clear"), mm.ToolTurn("add", "7")
    assert chat.answer_results(*by_hand, tools=tools).reply().answer == "Clear, and 7."


def test_tools_as_people_give_them(model: mm.Magistral, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    once: Script = [*call("weather", '{"city": "Bern"}'), EOS]
    dictate(monkeypatch, model, once, ANSWER, once, ANSWER)
    for tools in (desk.weather, (each for each in [desk.weather, desk.add])):
        assert model.ask("?", tools=tools, run_tools=True).answer == "Clear, and 7."  # type: ignore[arg-type]  # as people write it
    assert desk.called == [("weather", "Bern")] * 2
    for wrong in ("weather", [Desk], 3, ["weather"]):
        with pytest.raises(mm.UsageError, match="of type"):
            model.ask("?", tools=wrong, run_tools=True)  # type: ignore[arg-type]  # as people write it
