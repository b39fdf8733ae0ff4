"""Frozen dataclasses to JSON objects and back, strictly: what does not fit its declared type is refused.

Understands what the engine's messages are made of: str, bool, int, float, None, StrEnum, dataclasses,
unions of these with None, `tuple[X, ...]`, and `object`, which is any JSON value as it is. Fields with the
metadata `stays_here` are not sent. Unknown or missing keys, an int for a bool, NaN: EngineError.
"""

import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from magistral_mlx.errors import EngineError

_REMEDY = "Start the engine again; both sides must be the same version of magistral-mlx."


def dump(value: object) -> object:
    """`value` as something `json.dumps` takes; dataclasses become objects of their fields.

    Raises:
        EngineError: a number is not finite; JSON has no word for it.
    """
    if is_dataclass(value) and not isinstance(value, type):
        sent = (field for field in fields(value) if not field.metadata.get("stays_here"))
        return {field.name: dump(getattr(value, field.name)) for field in sent}
    if isinstance(value, tuple):
        return [dump(item) for item in cast("tuple[object, ...]", value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise EngineError("An engine message holds a number that is not finite", _REMEDY)
    return value.value if isinstance(value, StrEnum) else value


def load_fields(cls: type, raw: Mapping[str, object], *, where: str) -> dict[str, object]:
    """The constructor arguments of dataclass `cls` from a JSON object.

    Raises:
        EngineError: a key is missing or unknown, or a value has the wrong type; names `where` and the key.
    """
    declared = _declared(cls)
    unknown = sorted(set(raw) - set(declared))
    if unknown:
        raise EngineError(f"{where} has an unknown field {unknown[0]!r}", _REMEDY)
    values: dict[str, object] = {}
    for name, (field, hint) in declared.items():
        if name in raw:
            values[name] = _load(hint, raw[name], where=f"{where}.{name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise EngineError(f"{where} lacks its field {name!r}", _REMEDY)
    return values


@cache
def _declared(cls: type) -> dict[str, tuple[Field[Any], Any]]:
    hints = get_type_hints(cls)
    sent = (field for field in fields(cls) if not field.metadata.get("stays_here"))
    return {field.name: (field, hints[field.name]) for field in sent}


def _load(hint: Any, value: object, *, where: str) -> object:
    if hint is object:
        return value
    origin = get_origin(hint)
    if origin in (UnionType, Union):
        return _load_optional(get_args(hint), value, where=where)
    if origin is tuple:
        if not isinstance(value, list):
            raise _mismatch(where, "a list", value)
        item = get_args(hint)[0]
        return tuple(_load(item, each, where=where) for each in cast("list[object]", value))
    if is_dataclass(hint):
        if not isinstance(value, dict):
            raise _mismatch(where, "an object", value)
        return cast("type", hint)(
            **load_fields(cast("type", hint), cast("dict[str, object]", value), where=where)
        )
    return _load_scalar(hint, value, where=where)


def _load_optional(members: tuple[Any, ...], value: object, *, where: str) -> object:
    if value is None and NoneType in members:
        return None
    (member,) = [each for each in members if each is not NoneType]
    return _load(member, value, where=where)


def _load_scalar(hint: type, value: object, *, where: str) -> object:
    if issubclass(hint, StrEnum):
        try:
            return hint(cast("str", value))
        except ValueError as error:
            raise _mismatch(where, f"one of {', '.join(hint)}", value) from error
    if hint is float and type(value) in (int, float):
        try:
            number = float(cast("float", value))
        except OverflowError as error:
            raise _mismatch(where, "a number", value) from error
        if math.isfinite(number):
            return number
    elif type(value) is hint:  # exact: True is no int here
        return value
    raise _mismatch(where, hint.__name__, value)


def _mismatch(where: str, wanted: str, value: object) -> EngineError:
    return EngineError(f"{where} should be {wanted}, but is {type(value).__name__}", _REMEDY)
