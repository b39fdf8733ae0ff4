"""Fifty JSON schemas of all kinds that people write, each of which can be followed token by token."""

from typing import Any

_TEXT: dict[str, Any] = {"type": "string"}
_WHOLE: dict[str, Any] = {"type": "integer"}


def _object(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
        "additionalProperties": False,
    }


SCHEMAS: dict[str, dict[str, Any]] = {
    "anything": {},
    "any object": {"type": "object"},
    "any array": {"type": "array"},
    "text": _TEXT,
    "whole number": _WHOLE,
    "number": {"type": "number"},
    "truth": {"type": "boolean"},
    "nothing": {"type": "null"},
    "constant": {"const": {"a": [1, "é"], "b": None}},
    "choice": {"enum": ["red", "green", 3, None, {"x": 1}]},
    "text or number": {"type": ["string", "number"]},
    "short text": {"type": "string", "maxLength": 5},
    "long text": {"type": "string", "minLength": 40, "maxLength": 60},
    "plate": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3,4}$"},
    "pairs before the end": {"type": "string", "pattern": "^(ab)*c$"},
    "words": {"type": "string", "pattern": "^[a-z]+( [a-z]+){2}m$"},
    "pattern and length": {"type": "string", "pattern": "^a+$", "minLength": 7},
    "date": {"type": "string", "format": "date"},
    "moment": {"type": "string", "format": "date-time"},
    "identifier": {"type": "string", "format": "uuid"},
    "mail address": {"type": "string", "format": "email"},
    "address": {"type": "string", "format": "ipv4"},
    "percentage": {"type": "integer", "minimum": 0, "maximum": 100},
    "large": {"type": "integer", "minimum": 123456},
    "small share": {"type": "number", "minimum": 0.01, "maximum": 0.05},
    "below zero": {"type": "number", "exclusiveMaximum": 0},
    "above zero": {"type": "number", "exclusiveMinimum": 0, "maximum": 5},
    "halves": {"type": "number", "multipleOf": 0.5, "minimum": 0, "maximum": 3},
    "texts": {"type": "array", "items": _TEXT},
    "three numbers": {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3},
    "many": {"type": "array", "items": _WHOLE, "minItems": 12},
    "pair": {"type": "array", "prefixItems": [_TEXT, _WHOLE], "items": False, "minItems": 2},
    "matrix": {"type": "array", "items": {"type": "array", "items": _WHOLE, "minItems": 2}, "minItems": 2},
    "person": _object(name=_TEXT, age=_WHOLE),
    "person with more": _object(["name"], name=_TEXT, nick=_TEXT, tags={"type": "array", "items": _TEXT}),
    "all may be left out": _object([], a=_WHOLE, b=_TEXT, c={"type": "null"}),
    "empty object": _object(),
    "keys of any name": {"type": "object", "additionalProperties": _WHOLE},
    "keys by pattern": {
        "type": "object",
        "patternProperties": {"^x_[a-z]+$": _TEXT},
        "additionalProperties": False,
    },
    "needs what it does not describe": {"type": "object", "required": ["a", "b"]},
    "nested": _object(a=_object(b=_object(c=_object(d=_WHOLE)))),
    "odd names": _object(**{'with "quotes"': _TEXT, "é ü": _WHOLE, "a\\b": _TEXT, "": _WHOLE}),
    "one of two": {"anyOf": [_object(kind={"const": "a"}, x=_WHOLE), _object(kind={"const": "b"}, y=_TEXT)]},
    "exactly one": {"oneOf": [_TEXT, _WHOLE]},
    "all of": {"allOf": [_object([], a=_WHOLE) | {"additionalProperties": True}, {"required": ["a"]}]},
    "tree": {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": _object(value=_WHOLE, children={"type": "array", "items": {"$ref": "#/$defs/node"}})
        },
    },
    "list of links": {
        "$ref": "#/$defs/link",
        "$defs": {"link": _object(next={"anyOf": [{"$ref": "#/$defs/link"}, {"type": "null"}]})},
    },
    "answers by reference": {
        "type": "array",
        "items": {"$ref": "#/definitions/answer"},
        "minItems": 1,
        "definitions": {"answer": _object(text=_TEXT, sure={"type": "number", "minimum": 0, "maximum": 1})},
    },
    "wide": _object(**{f"field_{number}": _WHOLE for number in range(12)}),
    "invoice": _object(
        number={"type": "string", "pattern": "^INV-[0-9]{6}$"},
        date={"type": "string", "format": "date"},
        lines={
            "type": "array",
            "minItems": 1,
            "items": _object(item=_TEXT, count={"type": "integer", "minimum": 1}, price={"type": "number"}),
        },
        paid={"type": "boolean"},
        currency={"enum": ["EUR", "CHF", "USD"]},
    ),
}
