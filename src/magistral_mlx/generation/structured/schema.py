"""The JSON schema of an answer, from any description that a caller may give.

This module imports no MLX. Whether a schema can be followed at all is decided here, before a model is asked.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from magistral_mlx.errors import UsageError
from magistral_mlx.generation.structured.strictness import strict
from magistral_mlx.sanitize import sanitize_line

if TYPE_CHECKING:
    from pydantic import BaseModel

_LONGEST_TEXT = 1_000_000


@dataclass(frozen=True)
class AnswerSchema:
    """A checked JSON schema.

    Args:
        text: the schema as JSON.
        model: the pydantic class it came from, if it came from one; answers are then parsed into it.
    """

    text: str
    model: "type[BaseModel] | None" = None

    @classmethod
    def of(cls, schema: object) -> "AnswerSchema":
        """The schema that `schema` describes: a JSON schema (mapping or JSON text) or a pydantic class.

        Raises:
            UsageError: it is none of these, no answer can fulfil it, a keyword is misspelt, or it needs
                what can't be enforced token by token, such as `not`, `uniqueItems` or look-ahead in a
                pattern.
        """
        model = _pydantic_class(schema)
        document = _schema_of(model) if model is not None else _document(schema)
        text = _as_text(strict(json.loads(_as_text(document))))
        _check(text)
        return cls(text, model)

    def parse(self, answer: str) -> object:
        """The answer as Python values, or as an instance of the pydantic class.

        None if the class has rules of its own (validators) that JSON schema can't express and that the
        answer breaks; `model_validate_json(answer)` then says which. None too for a text that is no JSON.
        """
        if self.model is None:
            try:
                return cast(object, json.loads(answer))
            except ValueError:
                return None
        from pydantic import ValidationError

        try:
            return self.model.model_validate_json(answer)
        except ValidationError:
            return None


def _pydantic_class(schema: object) -> "type[BaseModel] | None":
    if not isinstance(schema, type):
        return None
    from pydantic import BaseModel

    return schema if issubclass(schema, BaseModel) else None


def _schema_of(model: "type[BaseModel]") -> object:
    """Without properties that the class would ignore: what isn't named isn't written."""
    from pydantic.errors import PydanticUserError
    from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
    from pydantic_core.core_schema import ModelSchema

    class Closed(GenerateJsonSchema):
        def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
            made = super().model_schema(schema)
            if "properties" in made:  # else it is a root model
                made.setdefault("additionalProperties", False)
            return made

    try:
        return model.model_json_schema(schema_generator=Closed)
    except PydanticUserError as error:
        raise UsageError(
            f"{model.__name__} has no JSON schema ({sanitize_line(str(error).splitlines()[0])[:120]})",
            "Use fields whose types JSON knows.",
        ) from error


def _document(schema: object) -> object:
    if isinstance(schema, Mapping):
        return cast(object, dict(cast(Mapping[str, object], schema)))
    if isinstance(schema, str | bytes):
        try:
            return cast(object, json.loads(schema))
        except (ValueError, RecursionError) as error:
            raise UsageError(
                f"The schema is no JSON ({sanitize_line(str(error))[:120]})", "Correct it, or give a dict."
            ) from error
    kind = f"the class {schema.__name__}" if isinstance(schema, type) else f"of type {type(schema).__name__}"
    raise UsageError(
        f"The schema is {kind}",
        "Give a JSON schema as a dict or as JSON text, or a pydantic model class.",
    )


def _as_text(document: object) -> str:
    if not isinstance(document, dict):
        raise UsageError("The schema is no JSON object", 'Give an object such as {"type": "object"}.')
    try:
        text = json.dumps(document, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"The schema cannot be written as JSON ({sanitize_line(str(error))[:120]})",
            "Use only what JSON knows: objects, lists, text, numbers, true, false and null.",
        ) from error
    if len(text) > _LONGEST_TEXT:
        raise UsageError(
            f"The schema has {len(text)} characters", f"Keep it under {_LONGEST_TEXT:,} characters."
        )
    return text


def _check(text: str) -> None:
    from magistral_mlx.generation.structured.grammar import grammar_problem

    problem = grammar_problem(text)
    if problem:
        raise UsageError(
            f"The schema can't be followed: {sanitize_line(problem)[:200]}",
            "Leave out what is named, or ask without a schema and check the answer afterwards.",
        )
