"""Twenty replies with tool calls: the same events however their text is cut into tokens."""

import random
from collections.abc import Sequence

import pytest

from magistral_mlx.events import AnswerText, ReasoningText, ToolCall
from magistral_mlx.generation.reply.splitter import EventSplitter
from magistral_mlx.prompt.tokenizer import Tokenizer
from support.scripted import ARGS, END_THINK, EOS, THINK, TOOL_CALLS
from support.tekken import write_tekken

Stream = Sequence[int | str]
A, B = '{"city": "Bern"}', '{"x": [1, {"y": "é 日本"}], "s": "[ARGS] [TOOL_CALLS] </s>"}'
ONE, TWO = ToolCall("weather", A), ToolCall("look_up", B)
CALL_ONE, CALL_TWO = (TOOL_CALLS, "weather", ARGS, A), (TOOL_CALLS, "look_up", ARGS, B)

GOLDEN: list[tuple[Stream, str, str, list[ToolCall]]] = [
    ((*CALL_ONE, EOS), "", "", [ONE]),
    ((*CALL_TWO, EOS), "", "", [TWO]),
    ((*CALL_ONE, *CALL_TWO, EOS), "", "", [ONE, TWO]),
    ((*CALL_TWO, *CALL_ONE, *CALL_TWO, EOS), "", "", [TWO, ONE, TWO]),
    ((*CALL_ONE, *CALL_ONE, EOS), "", "", [ONE, ONE]),
    (("One moment.", *CALL_ONE, EOS), "", "One moment.", [ONE]),
    ((THINK, "Need it.", END_THINK, *CALL_ONE, EOS), "Need it.", "", [ONE]),
    ((THINK, "Hm.", END_THINK, "So:", *CALL_ONE, *CALL_TWO, EOS), "Hm.", "So:", [ONE, TWO]),
    ((THINK, "a", TOOL_CALLS, "b", ARGS, "c", END_THINK, "d", EOS), "abc", "d", []),
    ((THINK, "[TOOL_CALLS]f[ARGS]{}", END_THINK, "x", EOS), "[TOOL_CALLS]f[ARGS]{}", "x", []),
    (("[TOOL_CALLS]f[ARGS]{}", EOS), "", "[TOOL_CALLS]f[ARGS]{}", []),
    ((*CALL_ONE,), "", "", []),
    ((*CALL_ONE, TOOL_CALLS, "look_up", ARGS, '{"x'), "", "", [ONE]),
    ((TOOL_CALLS, "weather"), "", "", []),
    ((TOOL_CALLS, " weather ", ARGS, A, EOS), "", "", [ONE]),
    ((TOOL_CALLS, "f", EOS), "", "", [ToolCall("f", "")]),
    ((TOOL_CALLS, "f", ARGS, "{}", EOS, "more"), "", "", [ToolCall("f", "{}")]),
    ((*CALL_ONE, THINK, "again", END_THINK, *CALL_TWO, EOS), "again", "", [ONE, TWO]),
    ((TOOL_CALLS, "f", ARGS, '{"a": "', ARGS, '"}', EOS), "", "", [ToolCall("f", '{"a": ""}')]),
    ((ARGS, "x", *CALL_ONE, EOS), "", "x", [ONE]),
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.from_file(write_tekken(tmp_path_factory.mktemp("tekken")), None)


def cut(tokenizer: Tokenizer, text: str, chance: random.Random) -> list[int]:
    """Tokens of a text cut at random: whole pieces as they are usual, or single bytes."""
    ids: list[int] = []
    while text:
        piece, text = text[: (length := chance.randrange(1, 9))], text[length:]
        usual = tokenizer.encode_text(piece)
        single = [byte_id(tokenizer, byte) for byte in piece.encode()]
        ids += chance.choice([usual, single])
    return ids


def byte_id(tokenizer: Tokenizer, byte: int) -> int:
    return next(i for i in range(100, 356) if tokenizer.token_bytes(i) == bytes([byte]))


def test_there_are_twenty() -> None:
    assert len(GOLDEN) == 20


@pytest.mark.parametrize("number", range(20))
def test_any_split_gives_the_same_calls(tokenizer: Tokenizer, number: int) -> None:
    stream, reasoning, answer, calls = GOLDEN[number]
    for seed in range(6):
        chance = random.Random(seed)
        splitter = EventSplitter(tokenizer)
        events = [
            event
            for element in stream
            for token_id in ([element] if isinstance(element, int) else cut(tokenizer, element, chance))
            for event in splitter.push(token_id)
        ]
        events += splitter.finish()
        assert "".join(event.text for event in events if isinstance(event, ReasoningText)) == reasoning
        assert "".join(event.text for event in events if isinstance(event, AnswerText)) == answer
        assert [event for event in events if isinstance(event, ToolCall)] == calls
