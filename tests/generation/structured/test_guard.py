"""Answers in a shape: always valid, always ended, the thought free."""

import itertools
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import mlx.core as mx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magistral_mlx.errors import UsageError
from magistral_mlx.events import Ending
from magistral_mlx.generation.decode.sampling import PositionSampler
from magistral_mlx.generation.options import Options
from magistral_mlx.generation.reply.sections import Section, SectionTracker
from magistral_mlx.generation.structured.guard import AnswerGuard
from magistral_mlx.generation.structured.schema import AnswerSchema
from magistral_mlx.prompt.tokenizer import TextDecoder, Tokenizer
from support.schemas import SCHEMAS
from support.scripted import ARGS, END_THINK, EOS, THINK, TOOL_CALLS
from support.tekken import VOCAB_SIZE, write_tekken


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.from_file(write_tekken(tmp_path_factory.mktemp("tekken")), None)


def guard(tokenizer: Tokenizer, schema: Any, *, max_tokens: int = 100, **options: bool) -> AnswerGuard:
    options = {"thinking": False, "thinking_open": False, "tools": False, **options}
    made = AnswerGuard(tokenizer, AnswerSchema.of(schema), **options)
    made.limit(max_tokens)
    return made


def smallest(tokenizer: Tokenizer, schema: Any) -> int:
    """Fewest tokens that a reply of this schema may have, as the refusal says."""
    with pytest.raises(UsageError) as refused:
        guard(tokenizer, schema, max_tokens=1)
    found = re.search(r"needs (\d+) tokens", refused.value.problem)
    assert found is not None
    return int(found[1])


def greedy(logits: mx.array) -> mx.array:
    return mx.argmax(logits, axis=-1)


def noise(seed: int) -> Iterator[mx.array]:
    """Logits without any sense; the vocabulary is padded, as output layers are."""
    for number in itertools.count():
        yield 3 * mx.random.normal([1, VOCAB_SIZE + 24], key=mx.random.key(seed * 10_007 + number))


def written(tokenizer: Tokenizer, shape: AnswerGuard, *, seed: int, temperature: float, most: int) -> str:
    """What a model of noise answers: checked to end in time, by the end of the turn."""
    drawing = PositionSampler(Options(temperature=temperature, top_p=1.0, seed=seed))
    positions = itertools.count()

    def sampler(logits: mx.array) -> mx.array:
        return drawing.at(logits, next(positions))

    tracker, decoder = SectionTracker(tokenizer.special), TextDecoder(tokenizer)
    answer = ""
    for count, logits in enumerate(noise(seed), start=1):
        assert count <= most
        if shape.thinking:
            token_id = int(sampler(shape.within_thought(logits)).item())
            if count > most // 4:
                token_id = END_THINK
        else:
            token_id = shape.choose(logits, sampler)
        shape.push(token_id)
        if token_id == EOS:
            break
        if tracker.section is Section.ANSWER:
            answer += decoder.push(token_id)
        tracker.push(token_id)
    assert shape.is_whole
    return answer


def test_there_are_fifty() -> None:
    assert len(SCHEMAS) == 50


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_answer_is_valid_and_ends(tokenizer: Tokenizer, name: str) -> None:
    schema = SCHEMAS[name]
    needed = smallest(tokenizer, schema)
    chance = random.Random(name)
    for spare, temperature in ((0, 0.0), (3, 1.0), (40, 1.0)):
        most = needed + spare
        shape = guard(tokenizer, schema, max_tokens=most)
        answer = written(tokenizer, shape, seed=chance.randrange(1000), temperature=temperature, most=most)
        value = json.loads(answer)
        jsonschema.validate(value, schema, format_checker=jsonschema.FormatChecker())
        assert shape.ending(Ending.COMPLETE) in (Ending.COMPLETE, Ending.CUT_IN_ANSWER)
        assert "\n" not in answer


@settings(max_examples=12)
@given(seed=st.integers(0, 10**6), spare=st.integers(0, 120), name=st.sampled_from(sorted(SCHEMAS)))
def test_thoughts_come_first_and_leave_room(tokenizer: Tokenizer, seed: int, spare: int, name: str) -> None:
    schema = SCHEMAS[name]
    most = smallest(tokenizer, schema) * 2 + 8 + spare
    shape = guard(tokenizer, schema, max_tokens=most, thinking=True)
    answer = written(tokenizer, shape, seed=seed, temperature=1.0, most=most)
    jsonschema.validate(json.loads(answer), schema)


def chooses(shape: AnswerGuard, wanted: int) -> int:
    """What comes when the model wants one token above all."""
    logits = mx.where(mx.arange(VOCAB_SIZE) == wanted, 50.0, mx.zeros([1, VOCAB_SIZE]))
    return shape.choose(logits, greedy)


def test_the_first_token_may_open_a_thought_only_when_thinking(tokenizer: Tokenizer) -> None:
    assert chooses(guard(tokenizer, {}, thinking=True), THINK) == THINK
    assert chooses(guard(tokenizer, {}), THINK) != THINK
    shape = guard(tokenizer, {"type": "integer"}, thinking=True)
    for token_id in (THINK, *tokenizer.encode_text("{{ hm"), END_THINK):
        shape.push(token_id)
    assert chooses(shape, THINK) != THINK
    assert chooses(shape, EOS) != EOS
    shape.push(tokenizer.encode_text("4")[0])
    assert chooses(shape, EOS) == EOS
    assert chooses(shape, THINK) != THINK


def test_a_thought_does_not_end_the_turn(tokenizer: Tokenizer) -> None:
    shape = guard(tokenizer, {}, thinking=True)
    shape.push(THINK)
    logits = mx.where(mx.arange(VOCAB_SIZE) == EOS, 50.0, mx.zeros([1, VOCAB_SIZE]))
    assert greedy(shape.within_thought(logits)).item() != EOS


def test_tools_may_be_called_instead(tokenizer: Tokenizer) -> None:
    assert chooses(guard(tokenizer, {}), TOOL_CALLS) != TOOL_CALLS
    shape = guard(tokenizer, {"type": "integer"}, tools=True)
    assert chooses(shape, TOOL_CALLS) == TOOL_CALLS
    for token_id in (TOOL_CALLS, *tokenizer.encode_text("f"), ARGS, *tokenizer.encode_text("{}")):
        shape.push(token_id)
    assert chooses(shape, EOS) == EOS
    assert not shape.is_whole


def test_a_complete_answer_ends_at_once(tokenizer: Tokenizer) -> None:
    shape = guard(tokenizer, {"const": 7})
    shape.push(tokenizer.encode_text("7")[0])
    assert chooses(shape, tokenizer.encode_text("7")[0]) == EOS


def test_a_loop_in_the_answer_is_closed_before_it_ends(tokenizer: Tokenizer) -> None:
    shape = guard(tokenizer, {"type": "array", "items": {"type": "integer"}})
    for token_id in tokenizer.encode_text("[1"):
        shape.push(token_id)
    assert shape.ending(Ending.LOOP) is None
    said = ""
    while (token_id := chooses(shape, tokenizer.encode_text("1")[0])) != EOS:
        shape.push(token_id)
        said += tokenizer.token_bytes(token_id).decode()
    assert said == "]"
    assert shape.ending(Ending.COMPLETE) is Ending.LOOP


def test_endings_that_are_none_of_its_business(tokenizer: Tokenizer) -> None:
    shape = guard(tokenizer, {}, thinking=True)
    assert shape.ending(None) is None
    assert shape.ending(Ending.COMPLETE) is Ending.COMPLETE
    shape.push(THINK)
    assert shape.ending(Ending.LOOP) is Ending.LOOP


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"type": "integer", "minimum": 5, "maximum": 3}, "minimum (5) is greater than maximum (3)"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"not": {"type": "string"}}, "not"),
        ({"type": "strin"}, "strin"),
        ({"$ref": "https://example.org/schema.json"}, "example.org"),
        ({"type": "string", "pattern": "(?=a)b"}, "look-around"),
        ({"type": "string", "format": "nonsense"}, "nonsense"),
        ({"enum": []}, "anyOf is empty"),
        ({"a": {1, 2}}, "not JSON serializable"),
        ("{", "no JSON"),
        ("[1]", "no JSON object"),
        (7, "type int"),
        (int, "class int"),
    ],
)
def test_what_can_not_be_followed_is_refused_by_name(schema: object, named: str) -> None:
    with pytest.raises(UsageError) as refused:
        AnswerSchema.of(schema)
    assert named in refused.value.problem
    assert refused.value.remedy


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 9_000},
        {
            "$ref": "#/$defs/a",
            "$defs": {"a": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/a"}}},
        },
    ],
)
def test_what_never_ends_is_refused(tokenizer: Tokenizer, schema: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"No answer of less than|can't be followed"):
        guard(tokenizer, schema)


def test_a_bound_that_is_not_enforced_is_refused(tokenizer: Tokenizer) -> None:
    share = {"type": "number", "exclusiveMinimum": 0, "maximum": 0.05}
    with pytest.raises(UsageError, match="exclusiveMinimum 0 can't be enforced"):
        guard(tokenizer, {"type": "array", "items": share})


def test_no_room_is_told_in_tokens(tokenizer: Tokenizer) -> None:
    needed = smallest(tokenizer, SCHEMAS["invoice"])
    with pytest.raises(UsageError, match=f"needs {needed} tokens, there is room for {needed - 1}"):
        guard(tokenizer, SCHEMAS["invoice"], max_tokens=needed - 1)


def test_a_file_of_the_whole_vocabulary_is_not_needed(tmp_path: Path) -> None:
    small = Tokenizer.from_file(write_tekken(tmp_path, text_count=256), None)
    shape = guard(small, SCHEMAS["person"], max_tokens=60)
    answer = ""
    for logits in noise(3):
        token_id = shape.choose(logits[:, :356], greedy)
        shape.push(token_id)
        if token_id == EOS:
            break
        answer += small.token_bytes(token_id).decode("latin-1")
    jsonschema.validate(json.loads(answer), SCHEMAS["person"])
