"""Whatever the grammar takes, an ending is found: patterns, multiples, unions."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from magistral_mlx.errors import UsageError
from magistral_mlx.generation.structured.closing import Closer
from magistral_mlx.generation.structured.grammar import AnswerGrammar
from magistral_mlx.generation.structured.patterns import Pattern
from magistral_mlx.generation.structured.position import JsonPosition
from magistral_mlx.generation.structured.schema import AnswerSchema
from magistral_mlx.prompt.tokenizer import Tokenizer
from support.tekken import write_tekken

EVERYDAY = [
    r"\.pdf$",
    r"^.*@example\.com$",
    r"^https?://.+\.com$",
    r"^[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}$",
    r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
    r"^.+ing$",
    r"^[0-9a-f]*00$",
    r"ab",
    r"[0-9]{3}",
    r"foo.*bar",
    r"^/([a-z]+/)*end$",
    r"^[A-Z]{2}[0-9]{2}$",
    r"^\d{4}-\d{2}-\d{2}$",
    r"^\+?[0-9 ]{7,15}$",
    r"^#[0-9a-fA-F]{6}$",
    r"^(yes|no|maybe)$",
    r"^[A-Z][a-z]+( [A-Z][a-z]+)*$",
    r"^v\d+\.\d+\.\d+$",
    r"^\S+$",
    r"^[a-z]+(-[a-z]+){2,4}$",
    r"^$",
    r"^(a|b)*c$",
    r"^INV-[0-9]{6}$",
    r"^[^a-z]+$",
    r"^.{5,10}$",
    r"^([01]?[0-9]|2[0-3]):[0-5][0-9]$",
    r"\bword\b|x",
    r"^[\w.]+\.(jpg|png|gif)$",
    r"(?i)\.pdf$",
]
RUST_ONLY = [r"^\p{Lu}\p{Ll}+ing$", r"^\d+\.\d*\z", r"\A[^\p{L}]{3}$", r"(?i)^[a-f]+Z$"]
"""Syntax that llguidance takes and Python's `re` does not, or writes otherwise."""
LEAF = {"kind": {"const": "leaf"}}
NODE = {"kind": {"const": "node"}, "child": {"$ref": "#/$defs/tree"}}
TREE = {
    "$ref": "#/$defs/tree",
    "$defs": {
        "tree": {
            "anyOf": [
                {"type": "object", "properties": NODE, "required": ["kind", "child"]},
                {"type": "object", "properties": LEAF, "required": ["kind"]},
            ]
        }
    },
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.from_file(write_tekken(tmp_path_factory.mktemp("tekken")), None)


def ending(tokenizer: Tokenizer, schema: Any, begun: str = "") -> str:
    """The shortest value of `schema` that begins with `begun`."""
    text = AnswerSchema.of(schema).text
    grammar, position = AnswerGrammar(tokenizer, text), JsonPosition()
    assert grammar.advance(grammar.tokens_of(begun.encode()))
    position.push(begun.encode())
    ids = Closer(tokenizer, text).closing(grammar, position, most_tokens=400)
    assert ids is not None
    assert grammar.takes(ids)
    whole = begun + b"".join(map(tokenizer.token_bytes, ids)).decode()
    jsonschema.validate(json.loads(whole), schema)
    return whole


@pytest.mark.parametrize("pattern", [each for each in EVERYDAY if r"\b" not in each])
@pytest.mark.parametrize("begun", ["", "beginning"])
def test_an_everyday_pattern_has_an_ending(tokenizer: Tokenizer, pattern: str, begun: str) -> None:
    schema = {"type": "string", "pattern": pattern}
    if begun:
        whole = ending(tokenizer, schema)
        begun = whole[: max(len(whole) // 2, 1)]
    assert re.search(pattern, json.loads(ending(tokenizer, schema, begun)))


@pytest.mark.parametrize("pattern", RUST_ONLY)
def test_a_pattern_in_rust_syntax_has_an_ending(tokenizer: Tokenizer, pattern: str) -> None:
    text = AnswerSchema.of({"type": "string", "pattern": pattern}).text
    grammar = AnswerGrammar(tokenizer, text)
    ids = Closer(tokenizer, text).closing(grammar, JsonPosition(), most_tokens=40)
    assert ids is not None
    assert grammar.takes(ids)


@pytest.mark.parametrize("multiple", [2, 4, 5, 6, 10, 12, 60, 100, 2.5])
@pytest.mark.parametrize(("least", "begun"), [(None, ""), (7, ""), (None, "3"), (None, "-1")])
def test_a_multiple_has_an_ending(
    tokenizer: Tokenizer, multiple: float, least: int | None, begun: str
) -> None:
    bound = {} if least is None else {"minimum": least}
    ending(tokenizer, {"type": "number", "multipleOf": multiple, **bound}, begun)


@pytest.mark.parametrize("multiple", [10, 12])
def test_an_array_of_multiples_goes_on(tokenizer: Tokenizer, multiple: int) -> None:
    schema = {"type": "array", "items": {"type": "integer", "multipleOf": multiple}, "minItems": 2}
    assert ending(tokenizer, schema, "[7").startswith("[7")


def test_a_union_ends_by_its_shortest_member(tokenizer: Tokenizer) -> None:
    assert ending(tokenizer, TREE) == '{"kind": "leaf"}'
    assert json.loads(ending(tokenizer, TREE, '{"kind": "node", "child": {"kind": "'))


def test_an_ending_is_found_anywhere_in_a_long_object(tokenizer: Tokenizer) -> None:
    names = [f"name{number}" for number in range(12)]
    kinds = [{"type": "number"}, {"enum": ["alpha", "beta"]}, {"type": "string", "pattern": "^[a-f]{4}$"}]
    properties = {name: kinds[number % 3] for number, name in enumerate(names)}
    schema = {"type": "object", "properties": properties, "required": names, "additionalProperties": False}
    whole = ending(tokenizer, schema)
    for length in range(1, len(whole), 9):
        ending(tokenizer, schema, whole[:length])


@pytest.mark.parametrize("form", ["date", "time", "date-time", "duration", "email", "hostname", "uuid"])
def test_a_format_has_an_ending(tokenizer: Tokenizer, form: str) -> None:
    ending(tokenizer, {"type": "string", "format": form})


@pytest.mark.parametrize("least", [1, 70, 300])
def test_a_long_string_is_filled(tokenizer: Tokenizer, least: int) -> None:
    value = json.loads(ending(tokenizer, {"type": "string", "minLength": least}))
    assert len(value) == least


@pytest.mark.parametrize(
    ("day", "taken"),
    [
        ("2024-02-29", True),
        ("2023-02-29", False),
        ("1900-02-29", False),
        ("2000-02-29", True),
        ("0000-01-01", False),
        ("2024-04-31", False),
        ("0001-12-31", True),
    ],
)
def test_only_days_that_exist_are_dates(tokenizer: Tokenizer, day: str, taken: bool) -> None:
    for form, text in (("date", day), ("date-time", f"{day}T12:00:00Z")):
        grammar = AnswerGrammar(tokenizer, AnswerSchema.of({"type": "string", "format": form}).text)
        assert grammar.takes(grammar.tokens_of(f'"{text}"'.encode())) is taken


def test_a_hostname_is_not_too_long(tokenizer: Tokenizer) -> None:
    grammar = AnswerGrammar(tokenizer, AnswerSchema.of({"type": "string", "format": "hostname"}).text)
    label = "a" * 60
    assert grammar.takes(grammar.tokens_of(f'"{".".join([label] * 4)}"'.encode()))
    assert not grammar.takes(grammar.tokens_of(f'"{".".join([label] * 5)}"'.encode()))


def test_an_object_that_names_its_properties_has_no_others() -> None:
    schema = {"type": "object", "properties": {"total": {"type": "integer"}}}
    assert json.loads(AnswerSchema.of(schema).text)["additionalProperties"] is False
    opened = {**schema, "additionalProperties": True}
    assert json.loads(AnswerSchema.of(opened).text)["additionalProperties"] is True
    joined = {"allOf": [schema, {"type": "object", "properties": {"b": {"type": "string"}}}]}
    assert "additionalProperties" not in AnswerSchema.of(joined).text


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "string", "maxlength": 3}, "Did you mean maxLength"),
        ({"type": "object", "requierd": ["a"]}, "Did you mean required"),
        ({"type": "string", "x-guidance": {"whitespace_flexible": True}}, "x-guidance"),
        ({"type": "object", "minProperties": 2}, "minProperties 2 can't be enforced"),
    ],
)
def test_what_would_be_ignored_is_refused(schema: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        AnswerSchema.of(schema)


def test_an_unknown_keyword_is_told() -> None:
    with pytest.warns(UserWarning, match="colour"):
        AnswerSchema.of({"type": "string", "colour": "red"})


@pytest.mark.parametrize("pattern", EVERYDAY)
@pytest.mark.parametrize("content", ["", "a", "foo", "x1", "/ab", "http://w"])
@pytest.mark.parametrize("least", [0, 12])
def test_a_completion_matches(pattern: str, content: str, least: int) -> None:
    compiled = Pattern.of(pattern)
    if compiled is None:
        assert r"\b" in pattern
        return
    completion = compiled.completion(content, least=least)
    if completion is not None:
        assert re.search(pattern, content + completion)
        assert len(content + completion) >= least


@pytest.mark.parametrize(
    "pattern", [r"(?=a)b", r"\bword", r"\p{Greek}", r"(?s)a", "a{2", "(a", "[a", "*", "a**"]
)
def test_other_syntax_is_not_understood(pattern: str) -> None:
    assert Pattern.of(pattern) is None


def test_the_position_knows_names_from_values(tmp_path: Path) -> None:
    position = JsonPosition()
    position.push(b'{"na\\u00e')
    assert position.is_key
    assert position.content is None
    position.push(b'9me": "va')
    assert not position.is_key
    assert position.content == "va"
    position.push(b'", "n": [1, 23')
    assert position.brackets == "{["
    assert position.commas == (1, 1)
    assert position.number == "23"
