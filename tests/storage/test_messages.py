"""Typed values become JSON and come back; the options of a question are those of the API."""

from dataclasses import fields

import pytest

from magistral_mlx.api.options import AskOptions
from magistral_mlx.errors import EngineError
from magistral_mlx.storage.messages import Options, Reader, SavedTurn, to_json


def test_options_are_options_of_the_api() -> None:
    assert {field.name for field in fields(Options)} <= AskOptions.__annotations__.keys()


def test_only_chosen_options_are_handed_on() -> None:
    assert Options().chosen() == {"thinking": True}
    assert Options(thinking=False, temperature=0.0, seed=0).chosen() == {
        "thinking": False,
        "temperature": 0.0,
        "seed": 0,
    }


@pytest.mark.parametrize("ascii_only", [True, False])
def test_half_characters_come_back(ascii_only: bool) -> None:
    turn = SavedTurn("a \udcff \ud800 \u2028 é", ("\udc80.png",))
    line = to_json(turn, ascii_only=ascii_only).encode("utf-8", "surrogatepass")
    assert Reader[SavedTurn](SavedTurn).read(line) == turn


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[" * 100_000, b"NaN", b'{"question": 1}', b'{"answer": "x"}', b"\xff", b"9" * 10_000],
)
def test_everything_else_is_one_kind_of_error(line: bytes) -> None:
    with pytest.raises(EngineError) as refused:
        Reader[SavedTurn](SavedTurn).read(line)
    assert refused.value.remedy
    assert len(refused.value.problem) < 400


def test_numbers_without_a_word_in_json_are_refused() -> None:
    with pytest.raises(EngineError, match="not finite"):
        to_json({"average": float("nan")}, ascii_only=True)
    with pytest.raises(EngineError, match="not JSON"):
        Reader[object](object).read(b'{"average": NaN}')
