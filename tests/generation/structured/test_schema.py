"""`schema=` end to end: the thought is the model's own, the answer has the shape, and `parsed` is it."""

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from pydantic import BaseModel, RootModel, field_validator

import magistral_mlx as mm
from magistral_mlx.generation.structured.schema import AnswerSchema
from support.models import random_model, scripted
from support.schemas import SCHEMAS
from support.scripted import END_THINK, EOS, THINK, counting


class Person(BaseModel):
    name: str
    age: int


class Adult(BaseModel):
    age: int

    @field_validator("age")
    @classmethod
    def of_age(cls, age: int) -> int:
        if age < 18:
            raise ValueError("too young")
        return age


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    script = [THINK, "{Let me see.", END_THINK, '"It is seven, café."', EOS]
    with scripted(tmp_path_factory.mktemp("model"), script) as model:
        yield model


@pytest.fixture(scope="module")
def chance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    with random_model(tmp_path_factory.mktemp("chance")) as model:
        yield model


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_what_fits_comes_as_the_model_wrote_it(model: mm.Magistral, temperature: float) -> None:
    reply = model.ask("What is 4 + 3?", schema={"type": "string"}, temperature=temperature)
    assert (reply.reasoning, reply.answer) == ("{Let me see.", '"It is seven, café."')
    assert reply.ending is mm.Ending.COMPLETE
    assert reply.parsed == "It is seven, café."


def test_a_schema_is_a_dict_text_or_a_class(model: mm.Magistral) -> None:
    schema = Person.model_json_schema() | {"additionalProperties": False}
    answers = [model.ask("Who?", schema=given, seed=1) for given in (schema, json.dumps(schema), Person)]
    assert len({reply.answer for reply in answers}) == 1
    assert answers[0].parsed == answers[1].parsed == json.loads(answers[0].answer)
    assert answers[2].parsed == Person.model_validate(answers[0].parsed)


class Line(BaseModel, extra="allow"):
    text: str


class Page(BaseModel):
    author: Person
    lines: list[Line]


class Names(RootModel[list[str]]):
    pass


def test_a_class_gets_no_properties_that_it_would_ignore() -> None:
    page = json.loads(AnswerSchema.of(Page).text)
    assert page["additionalProperties"] is False
    assert page["$defs"]["Person"]["additionalProperties"] is False
    assert page["$defs"]["Line"]["additionalProperties"] is True
    assert json.loads(AnswerSchema.of(Names).text) == Names.model_json_schema()


def test_rules_that_json_schema_can_not_express() -> None:
    schema = AnswerSchema.of(Adult)
    assert schema.parse('{"age": 18}') == Adult(age=18)
    assert schema.parse('{"age": 12}') is None
    assert AnswerSchema.of({}).parse('{"a') is None


@pytest.mark.parametrize("name", ["person", "invoice", "tree", "anything", "odd names", "moment"])
def test_a_model_of_noise_answers_in_shape(chance: mm.Magistral, name: str) -> None:
    for max_tokens, thinking in ((300, True), (200, False)):
        reply = chance.ask("Hello", schema=SCHEMAS[name], max_tokens=max_tokens, thinking=thinking, seed=5)
        assert reply.ending in (mm.Ending.COMPLETE, mm.Ending.CUT_IN_ANSWER, mm.Ending.LOOP)
        jsonschema.validate(json.loads(reply.answer), SCHEMAS[name])
        assert reply.parsed == json.loads(reply.answer)


def test_an_endless_thought_leaves_room_for_the_answer(tmp_path: Path) -> None:
    with scripted(tmp_path, [THINK, counting(200)]) as endless:
        reply = endless.ask("Who?", schema=Person, max_tokens=100, temperature=0)
    assert reply.reasoning.startswith("1, 2, 3")
    assert isinstance(reply.parsed, Person)


def test_a_budget_of_nothing_and_no_thought_at_all(model: mm.Magistral) -> None:
    for options in ({"thinking": False}, {"thinking_budget": 0}):
        reply = model.ask("Who?", schema=Person, temperature=0, **options)  # type: ignore[arg-type]
        assert reply.reasoning == ""
        assert isinstance(reply.parsed, Person)


def test_turns_with_and_without_a_schema(model: mm.Magistral) -> None:
    chat = model.conversation()
    first = chat.ask("What?", schema={"type": "string"})
    second = chat.ask("And now?")
    assert first.answer == second.answer
    assert second.parsed is None
    assert second.stats.cached_tokens > first.stats.prompt_tokens


def test_stopped_half_way_nothing_is_parsed(model: mm.Magistral) -> None:
    with model.stream("Who?", schema=Person) as stream:
        for event in stream:
            if isinstance(event, mm.AnswerText):
                stream.stop()
    assert stream.reply().ending in (mm.Ending.STOPPED, mm.Ending.COMPLETE)


def test_refused_before_anything_is_computed(model: mm.Magistral) -> None:
    for options, problem in (
        ({"schema": {"not": {}}}, "Unimplemented keys"),
        ({"schema": Person, "stop": "x"}, "stop string contradicts"),
    ):
        with pytest.raises(mm.UsageError, match=problem):
            model.stream("Who?", **options)  # type: ignore[arg-type]
    with pytest.raises(mm.UsageError, match="there is room for 5"):
        model.ask("Who?", schema=Person, max_tokens=5)
    assert model.ask("Who?").answer
