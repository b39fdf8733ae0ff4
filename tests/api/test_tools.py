"""Python functions as tools: described, called, their results fed back, within a number of steps."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

import magistral_mlx as mm
from magistral_mlx.api.tools import PythonTool, run, tool_of
from support.models import scripted
from support.scripted import ARGS, END_THINK, END_TOOL_RESULTS, EOS, THINK, TOOL_CALLS, Script

CALL = [THINK, "I look it up.", END_THINK, TOOL_CALLS, "weather", ARGS, '{"city": "Bern", "days": 2}', EOS]


def weather(city: str, days: int = 1, *, unit: Literal["C", "F"] = "C") -> dict[str, object]:
    """Tells the weather
    of a city.

    More that the model need not know.

    Args:
        city: where,
            in English
        days: how many days ahead.

    Returns:
        A forecast.
    """
    return {"city": city, "days": days, "unit": unit, "sky": "é"}


def broken(x: int) -> int:
    """Fails."""
    raise ValueError(f"no {x}")


def hints_missing(a, b=2):  # type: ignore[no-untyped-def]  # as people write them
    return [a, b]


def test_the_description_comes_from_signature_and_docstring() -> None:
    described: Any = tool_of(weather).described()
    function = described["function"]
    assert described["type"] == "function"
    assert (function["name"], function["description"]) == ("weather", "Tells the weather of a city.")
    parameters = function["parameters"]
    assert parameters["required"] == ["city"]
    assert parameters["properties"]["city"]["description"] == "where, in English"
    assert parameters["properties"]["days"]["default"] == 1
    assert parameters["properties"]["unit"]["enum"] == ["C", "F"]
    assert parameters["additionalProperties"] is False


@pytest.mark.parametrize(
    ("function", "arguments", "result"),
    [
        (weather, '{"city": "Bern"}', {"city": "Bern", "days": 1, "unit": "C", "sky": "é"}),
        (weather, '{"city": "Bern", "days": "3"}', {"city": "Bern", "days": 3, "unit": "C", "sky": "é"}),
        (weather, "{}", {"error": "city: Field required"}),
        (weather, '{"city": "x", "y": 1}', {"error": "y: Extra inputs are not permitted"}),
        (broken, '{"x": 4}', {"error": "ValueError: no 4"}),
        (hints_missing, '{"a": null}', [None, 2]),
    ],
)
def test_whatever_happens_is_a_result(function: Any, arguments: str, result: object) -> None:
    assert json.loads(tool_of(function).result(arguments)) == result


def test_text_that_is_no_json_is_a_result_too() -> None:
    assert "Invalid JSON" in json.loads(tool_of(weather).result("{"))["error"]


def test_an_unknown_tool_is_a_result() -> None:
    (turn,) = run({"weather": tool_of(weather)}, [mm.ToolCall("wether", "{}")])
    assert turn.name == "wether"
    assert json.loads(turn.content) == {"error": "there is no such tool; there are: weather"}


def takes_anything(*args: object) -> None: ...


async def waits() -> None: ...


def odd(x: Iterator[Sequence[int]], y: PythonTool) -> None: ...


@pytest.mark.parametrize("function", [takes_anything, waits, lambda x: x, odd])
def test_what_can_not_be_described_is_refused(function: Any) -> None:
    with pytest.raises(mm.UsageError):
        tool_of(function)


def model(directory: Path, script: Script = CALL, **chains: Script) -> mm.Magistral:
    return scripted(directory, script, chains={END_TOOL_RESULTS: chains.get("then", ["Sunny.", EOS])})


def test_results_are_fed_back(tmp_path: Path) -> None:
    events: list[mm.Event] = []
    with model(tmp_path) as loaded:
        chat = loaded.conversation()
        reply = chat.ask("Weather?", tools=[weather], run_tools=True, on_event=events.append)
        assert (reply.answer, reply.ending) == ("Sunny.", mm.Ending.COMPLETE)
        asked, called, result, answered = chat.turns
        assert isinstance(asked, mm.UserTurn)
        assert isinstance(called, mm.AssistantTurn)
        assert called.reasoning == "I look it up."
        assert isinstance(result, mm.ToolTurn)
        assert json.loads(result.content) == weather("Bern", 2)
        assert isinstance(answered, mm.AssistantTurn)
        assert mm.ToolCall("weather", '{"city": "Bern", "days": 2}') in events
        # Nothing of the first step is read again.
        assert reply.stats.cached_tokens > 0.5 * reply.stats.prompt_tokens
        single = loaded.ask("Weather?", tools=[weather], run_tools=True)
        assert single.answer == "Sunny."


def test_steps_are_limited(tmp_path: Path) -> None:
    calls: list[str] = []

    def weather(city: str, days: int) -> str:
        calls.append(city)
        return "wet"

    with scripted(tmp_path, CALL[3:], chains={END_TOOL_RESULTS: [TOOL_CALLS]}) as loaded:
        reply = loaded.ask("Weather?", tools=[weather], run_tools=True, max_steps=3)
        assert reply.ending is mm.Ending.TOOL_CALLS
        assert calls == ["Bern"] * 3
        assert loaded.ask("Weather?", tools=[weather]).tool_calls[0].name == "weather"
        assert len(calls) == 3


def test_only_functions_of_different_names_can_be_run(tmp_path: Path) -> None:
    with model(tmp_path) as loaded:
        for tools in ([tool_of(weather).described()], [weather, weather]):
            with pytest.raises(mm.UsageError):
                loaded.ask("?", tools=tools, run_tools=True)
        with pytest.raises(mm.UsageError, match="max_steps"):
            loaded.ask("?", tools=[weather], run_tools=True, max_steps=-1)


def test_parallel_calls(tmp_path: Path) -> None:
    script = [TOOL_CALLS, "first", ARGS, '{"a": 1}', EOS]
    chain = {END_TOOL_RESULTS: ["Both.", EOS]}

    def first(a: int) -> int:
        """One."""
        return a + 1

    with scripted(tmp_path, script, chains=chain) as loaded:
        chat = loaded.conversation()
        asked = chat.ask("?", tools=[first])
        assert asked.tool_calls == (mm.ToolCall("first", '{"a": 1}'),)
        reply = chat.answer_results(mm.ToolTurn("first", "2")).reply()
        assert reply.answer == "Both."
        with pytest.raises(mm.PromptError):
            chat.answer_results(mm.ToolTurn("second", "2")).reply()
