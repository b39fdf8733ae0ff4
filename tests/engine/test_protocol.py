"""Messages survive the wire unchanged, and nothing else passes for a message."""

import json
import subprocess
import sys
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.engine import wire
from magistral_mlx.engine.protocol import (
    Answer,
    AnswerNow,
    AnyMessage,
    Ask,
    CacheDone,
    Close,
    Continue,
    Done,
    Failed,
    LoadCache,
    Loading,
    Message,
    NewConversation,
    OpenConversation,
    Opened,
    Pause,
    Paused,
    Prefill,
    Progress,
    Ready,
    Reasoning,
    Resume,
    SaveCache,
    Start,
    Stop,
)
from magistral_mlx.errors import EngineError
from magistral_mlx.events import Ending, Reply, Stats, ToolCall

MESSAGES = (
    *(Start, Ask, Continue, AnswerNow, Pause, Resume, Stop),
    *(NewConversation, OpenConversation, SaveCache, LoadCache, Close),
    *(Loading, Ready, Prefill, Reasoning, Answer, Paused, Progress, Opened, CacheDone),
)

# Registered first: what hypothesis has once resolved it keeps.
finite = st.floats(allow_nan=False, allow_infinity=False)
st.register_type_strategy(float, finite)
messages: st.SearchStrategy[Message] = st.one_of(
    *(st.from_type(message) for message in (*MESSAGES, Failed)),
    st.builds(
        Done,
        st.builds(
            Reply,
            st.text(),
            st.text(),
            st.sampled_from(Ending),
            st.builds(Stats, prompt_tokens=st.integers(0), prefill_seconds=st.floats(0, 1e9)),
            st.lists(st.builds(ToolCall, st.text(), st.text())).map(tuple),
        ),
    ),
)


@given(message=messages, turn=st.integers(0, 2**31))
def test_every_message_comes_back_as_it_went(message: Message, turn: int) -> None:
    line = wire.encode(turn, message)
    assert line.isascii()
    assert line.index(b"\n") == len(line) - 1
    assert wire.decode(line) == (turn, message)


def test_text_that_terminals_and_people_send() -> None:
    text = 'ein "Zitat"\n\x1b[31m\u2028 \U0001f600 \udcff [/THINK]'
    assert wire.decode(wire.encode(1, Reasoning(text, 3))) == (1, Reasoning(text, 3))


_REPLY = {"reasoning": "", "answer": "", "ending": "complete"}


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ([], "Expected `object`, got `array`"),
        (None, "Expected `object`, got `null`"),
        ({}, "missing required field `type`"),
        ({"type": "Explode"}, "Invalid value 'Explode' - at `$[1].type`"),
        ({"type": ["Stop"]}, "Expected `str`"),
        ({"type": "Stop", "now": True}, "unknown field `now`"),
        ({"type": "Prefill", "done": 1}, "missing required field `total`"),
        ({"type": "Prefill", "done": True, "total": 2}, "Expected `int`, got `bool` - at `$[1].done`"),
        ({"type": "Prefill", "done": 1.0, "total": 2}, "Expected `int`, got `float` - at `$[1].done`"),
        ({"type": "Prefill", "done": None, "total": 2}, "Expected `int`, got `null` - at `$[1].done`"),
        ({"type": "Reasoning", "text": 5, "tokens": 1}, "Expected `str`, got `int` - at `$[1].text`"),
        ({"type": "Failed", "problem": "x", "engine_lost": 1}, "Expected `bool`, got `int`"),
        ({"type": "Progress", "average": "fast"}, "Expected `float | null`, got `str`"),
        ({"type": "Progress", "average": True}, "Expected `float | null`, got `bool`"),
        ({"type": "Progress", "average": 10**400}, "out of range - at `$[1].average`"),
        ({"type": "Progress", "telemetry": [1]}, "Expected `object`, got `array` - at `$[1].telemetry`"),
        ({"type": "Progress", "telemetry": {"watts": 1}}, "unknown field 'watts'"),
        ({"type": "Ask", "request": {"text": "x", "hurry": 1}}, "unknown field 'hurry'"),
        ({"type": "Ask", "request": {"text": "x", "images": "a.png"}}, "at `$[1].request.images`"),
        ({"type": "Ask", "request": {"text": "x", "images": [1]}}, "at `$[1].request.images["),
        ({"type": "Ask", "request": {"text": "x", "options": {"seed": 1.5}}}, "request.options.seed"),
        ({"type": "Done", "reply": {**_REPLY, "ending": "great"}}, "at `$[1].reply.ending`"),
        ({"type": "Done", "reply": {**_REPLY, "ending": []}}, "at `$[1].reply.ending`"),
        (
            {"type": "Done", "reply": {**_REPLY, "tool_calls": [{"name": "f", "arguments": "", "id": 3}]}},
            "'id'",
        ),
    ],
)
def test_everything_else_is_refused(raw: object, complaint: str) -> None:
    with pytest.raises(EngineError) as refused:
        wire.decode(json.dumps([1, raw]).encode())
    assert complaint in refused.value.problem
    assert refused.value.remedy


def test_a_whole_number_is_a_float_too() -> None:
    line = b'[1, {"type": "Progress", "average": 3}]'
    assert wire.decode(line) == (1, Progress(average=3.0))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_without_a_json_word_are_refused_on_both_sides(value: float) -> None:
    with pytest.raises(EngineError, match="not finite"):
        wire.encode(1, Progress(average=value))
    line = json.dumps([1, {"type": "Progress", "average": value}]).encode()
    with pytest.raises(EngineError, match="not JSON"):
        wire.decode(line)


@pytest.mark.parametrize(
    "line",
    [
        b"Traceback (most recent call last):",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"type": "Stop"}',
        b'[true, {"type": "Stop"}]',
        b'["1", {"type": "Stop"}]',
        b'[1, {"type": "Stop"}, 2]',
        b"[1]",
        b"9" * 10_000,
        b"",
    ],
)
def test_lines_that_are_not_messages(line: bytes) -> None:
    with pytest.raises(EngineError) as refused:
        wire.decode(line)
    assert len(refused.value.problem) < 500


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_raise_anything_else(line: bytes) -> None:
    with pytest.raises(EngineError):
        wire.decode(line)


@given(lines=st.lists(st.binary(min_size=1).filter(lambda line: b"\n" not in line)), data=st.data())
def test_lines_are_found_whatever_the_pieces(lines: list[bytes], data: Any) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    splitter = wire.LineSplitter()
    found: list[bytes] = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        found += splitter.push(stream[:cut])
        stream = stream[cut:]
    assert found == lines


def test_a_line_without_end_is_refused() -> None:
    splitter = wire.LineSplitter(longest=1000)
    assert splitter.push(b"x" * 999) == []
    with pytest.raises(EngineError, match="longer than 1000 bytes"):
        splitter.push(b"xx")


def test_a_megabyte_line_passes() -> None:
    done = Done(Reply("é" * 1_000_000, "", Ending.COMPLETE, Stats()))
    line = wire.encode(4, done)
    (whole,) = wire.LineSplitter().push(line)
    assert wire.decode(whole) == (4, done)


@pytest.mark.parametrize("parsed", [None, {"bars": [1, 2.5], "ok": True}, "text"])
def test_a_reply_with_values_read_from_it(parsed: object) -> None:
    done = Done(Reply("", "{}", Ending.COMPLETE, Stats(), parsed=parsed))
    assert wire.decode(wire.encode(3, done)) == (3, done)


def test_the_protocol_is_cheap_to_import() -> None:
    heavy = "{'mlx', 'mlx_lm', 'PIL', 'numpy', 'mistral_common', 'psutil', 'textual'}"
    modules = "import magistral_mlx.engine.protocol, magistral_mlx.engine.child"
    code = f"import sys; {modules}; loaded = {heavy} & set(sys.modules); assert not loaded, loaded"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_message_can_travel() -> None:
    assert set(get_args(AnyMessage)) == set(Message.__subclasses__()) == {*MESSAGES, Done, Failed}
