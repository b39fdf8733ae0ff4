"""Typed values as JSON text and back, strictly; and the values that the wire and session files share.

Values are made of structs, dataclasses, enums, tuples, numbers and text. An int for a bool, an unknown tag or
NaN is an EngineError. Text may hold lone surrogates, as some names of files do; msgspec's own JSON refuses
these, the standard library's takes them.
"""

import contextlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Generic, NoReturn, TypeVar

import msgspec

from magistral_mlx.errors import EngineError

T = TypeVar("T")

_REMEDY = "Start the engine again; both sides must be the same version of magistral-mlx."


@dataclass(frozen=True)
class Options:
    """How to answer one question; None leaves the choice to the runtime, which has the defaults."""

    thinking: bool = True
    thinking_budget: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    kv_bits: int | None = None
    """Width of a number in the KV cache."""

    def chosen(self) -> dict[str, Any]:
        """Return the options that are not None, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class SavedTurn:
    """A question and its reply in the model's own words; `reasoning` and `answer` may be cut off or empty."""

    question: str
    images: tuple[str, ...] = ()
    """Paths of kept images, readable by the engine."""
    reasoning: str = ""
    answer: str = ""


def to_json(value: object, *, ascii_only: bool) -> str:
    """Return `value` as one line of JSON.

    Raises:
        EngineError: a number is not finite; JSON has no word for it.
    """
    try:
        return json.dumps(
            msgspec.to_builtins(value), allow_nan=False, ensure_ascii=ascii_only, separators=(",", ":")
        )
    except ValueError as error:
        raise EngineError("A message holds a number that is not finite", _REMEDY) from error


class Reader(Generic[T]):
    """Read JSON as values of one type, strictly.

    Args:
        cls: a type that msgspec knows.
    """

    def __init__(self, cls: Any) -> None:
        self._cls = cls
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(cls)

    def read(self, line: bytes) -> T:
        """Return the value of one line.

        Raises:
            EngineError: it is not JSON, or not of this type; the text names the place.
        """
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            return self._decoder.decode(line)
        try:  # perhaps only a lone surrogate, which msgspec's own JSON refuses
            value: T = msgspec.convert(builtins_of(line), self._cls)
        except msgspec.ValidationError as error:
            raise EngineError(f"{_shown(line)} is not a message: {error}", _REMEDY) from error
        return value


def builtins_of(line: bytes) -> object:
    """Return the dicts, lists, texts and numbers of JSON text.

    Raises:
        EngineError: it is not JSON.
    """
    try:
        text = line.decode("utf-8", "surrogatepass")
        value: object = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise EngineError(f"{_shown(line)} is not JSON", _REMEDY) from error
    return value


def _shown(line: bytes) -> str:
    return f"The line {line[:80]!r}"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
