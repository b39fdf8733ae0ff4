"""What a caller's schema means here, said in keywords that the grammar enforces.

JSON schema ignores what it does not know and leaves objects open. A reply is better served by the strict
reading: a misspelt keyword is an error, an object that names its properties has no others, a date exists.
"""

import difflib
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, cast

from magistral_mlx.errors import UsageError
from magistral_mlx.sanitize import sanitize_line

_KEYWORDS = frozenset(
    [
        "type",
        "enum",
        "const",
        "properties",
        "required",
        "additionalProperties",
        "patternProperties",
        "propertyNames",
        "minProperties",
        "maxProperties",
        "unevaluatedProperties",
        "dependentRequired",
        "dependentSchemas",
        "items",
        "prefixItems",
        "additionalItems",
        "minItems",
        "maxItems",
        "uniqueItems",
        "contains",
        "minContains",
        "maxContains",
        "unevaluatedItems",
        "minLength",
        "maxLength",
        "pattern",
        "format",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "then",
        "else",
        "$ref",
        "$defs",
        "definitions",
        "$schema",
        "$id",
        "$anchor",
        "$comment",
        "$vocabulary",
        "$dynamicRef",
        "$dynamicAnchor",
        "$recursiveRef",
        "title",
        "description",
        "default",
        "examples",
        "example",
        "deprecated",
        "readOnly",
        "writeOnly",
        "discriminator",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "nullable",
        "strict",
        "id",
        "name",
    ]
)
_OF_SCHEMAS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords whose values are schemas by name."""
_VALUES = frozenset({"enum", "const", "default", "examples", "example", "required", "discriminator"})
"""Keywords whose values are data, not schemas."""
_JOINED = frozenset({"allOf", "anyOf", "oneOf", "if", "$ref", "$dynamicRef"})
_SHARED = frozenset({"allOf", "if", "then", "else", "not"})
"""Keywords whose schemas describe the same object as the one around them."""
_SAYS_MORE = frozenset({"additionalProperties", "unevaluatedProperties", "patternProperties"}) | _JOINED
_YEAR = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DATE = (
    f"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    f"|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_TIME = (
    r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_PATTERNS = {"date": f"^{_DATE}$", "date-time": f"^{_DATE}T{_TIME}$"}
"""Formats of RFC 3339 whose days exist; llguidance's own take 29 February in any year, and the year 0."""
_LONGEST_HOSTNAME = 253


def strict(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the strict form of a JSON schema.

    Raises:
        UsageError: a keyword is misspelt, switches strictness off, or can't be enforced.
    """
    joined = {str(each.get("$ref")) for each in _joined_parts(document)}
    return _strict(document, may_close=True, joined=joined, place="#")


def has_open_objects(document: object) -> bool:
    """Tell whether some object names properties and takes others beside them."""
    if isinstance(document, list):
        return any(map(has_open_objects, cast("list[object]", document)))
    if not isinstance(document, dict):
        return False
    own = cast("dict[str, object]", document)
    named = bool(own.get("properties") or own.get("patternProperties"))
    if named and own.get("additionalProperties", True) is not False:
        return True
    return any(map(has_open_objects, own.values()))


def _strict(own: Mapping[str, Any], *, may_close: bool, joined: set[str], place: str) -> dict[str, Any]:
    _check_names(own)
    made: dict[str, Any] = {}
    for name, value in own.items():
        here = f"{place}/{name}"
        if name in _VALUES:
            made[name] = value
        elif name in _OF_SCHEMAS and isinstance(value, Mapping):
            parts = cast("Mapping[str, Any]", value)
            made[name] = {
                key: _part(part, f"{here}/{key}" not in joined, joined, f"{here}/{key}")
                for key, part in parts.items()
            }
        else:
            closes = name not in _SHARED and not (name in _JOINED and "properties" in own)
            made[name] = _part(value, closes, joined, here)
    if may_close and isinstance(made.get("properties"), dict) and not _SAYS_MORE & made.keys():
        made["additionalProperties"] = False
    _check_counts(made)
    _sharpen_format(made)
    return made


def _part(value: object, may_close: bool, joined: set[str], place: str) -> object:
    if isinstance(value, list):
        return [_part(each, may_close, joined, place) for each in cast("list[object]", value)]
    if isinstance(value, Mapping):
        part = cast("Mapping[str, Any]", value)
        return _strict(part, may_close=may_close, joined=joined, place=place)
    return value


def _joined_parts(part: object) -> Iterator[Mapping[str, Any]]:
    """The members of every `allOf`: they share one object, so none of them may close it."""
    if isinstance(part, list):
        for each in cast("list[object]", part):
            yield from _joined_parts(each)
    elif isinstance(part, Mapping):
        own = cast("Mapping[str, Any]", part)
        members = own.get("allOf")
        if isinstance(members, list):
            listed = cast("list[object]", members)
            yield from (cast("Mapping[str, Any]", each) for each in listed if isinstance(each, Mapping))
        if "properties" in own and "$ref" in own:
            yield own
        for each in own.values():
            yield from _joined_parts(each)


def _check_names(own: Mapping[str, Any]) -> None:
    for name in own:
        if name == "x-guidance":
            raise UsageError("The schema sets x-guidance", "Leave it out: it would switch strictness off.")
        if name in _KEYWORDS or name.startswith("x-"):
            continue
        shown = sanitize_line(name)[:60]
        by_case = {known.casefold(): known for known in _KEYWORDS}
        meant = difflib.get_close_matches(name.casefold(), by_case, n=1, cutoff=0.8)
        if meant:
            raise UsageError(f'The schema says "{shown}"', f"Did you mean {by_case[meant[0]]}?")
        warnings.warn(f'The schema\'s "{shown}" is no keyword of JSON schema; it is ignored.', stacklevel=2)


def _check_counts(own: dict[str, Any]) -> None:
    least = own.get("minProperties")
    if not isinstance(least, int) or isinstance(least, bool):
        return
    required = cast("list[object]", own.get("required") or [])
    if least > len(set(map(str, required))):
        raise UsageError(
            f"minProperties {least} can't be enforced: a property could be written twice",
            "Name the properties that must be there in required.",
        )
    del own["minProperties"]


def _sharpen_format(own: dict[str, Any]) -> None:
    form = own.get("format")
    if form in _PATTERNS and "pattern" not in own:
        own["pattern"] = _PATTERNS[str(form)]
        del own["format"]
    if form == "hostname":
        longest = own.get("maxLength")
        own["maxLength"] = min(longest, _LONGEST_HOSTNAME) if isinstance(longest, int) else _LONGEST_HOSTNAME
