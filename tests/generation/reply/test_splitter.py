"""Events are split by control id: any stream of ids gives whole characters in the right section."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magistral_mlx.events import AnswerText, ReasoningText, ToolCall
from magistral_mlx.generation.reply.splitter import EventSplitter, Piece
from magistral_mlx.prompt.tokenizer import Tokenizer

EOS, TOOL_CALLS, ARGS, THINK, END_THINK = 2, 9, 32, 34, 35
FIRST_TEXT_ID = 100


def split(
    tokenizer: Tokenizer, ids: Sequence[int], *, stop: Sequence[str] = (), thinking_open: bool = False
) -> list[Piece]:
    splitter = EventSplitter(tokenizer, stop=stop, thinking_open=thinking_open)
    return [piece for token_id in ids for piece in splitter.push(token_id)] + splitter.finish()


def texts(pieces: Sequence[Piece]) -> tuple[str, str, list[ToolCall]]:
    return (
        "".join(piece.text for piece in pieces if isinstance(piece, ReasoningText)),
        "".join(piece.text for piece in pieces if isinstance(piece, AnswerText)),
        [piece for piece in pieces if isinstance(piece, ToolCall)],
    )


def ids_of(tokenizer: Tokenizer, *parts: str | int) -> list[int]:
    return [
        token_id
        for part in parts
        for token_id in ([part] if isinstance(part, int) else tokenizer.encode_text(part))
    ]


@pytest.mark.parametrize(
    ("parts", "reasoning", "answer"),
    [
        ((THINK, "4 and 3", END_THINK, "7", EOS), "4 and 3", "7"),
        (("just 7", EOS), "", "just 7"),
        ((THINK, "never closed", EOS), "never closed", ""),
        ((THINK, "never closed"), "never closed", ""),
        ((THINK, END_THINK, "empty thought", EOS), "", "empty thought"),
        ((THINK, "one", END_THINK, "two", THINK, "three", END_THINK, "four", EOS), "onethree", "twofour"),
        (("stray ", END_THINK, "closer", EOS), "", "stray closer"),
        ((THINK, "opener ", THINK, "twice", END_THINK, "7", EOS), "opener twice", "7"),
        ((THINK, "I write [/THINK]", END_THINK, "and [THINK]", EOS), "I write [/THINK]", "and [THINK]"),
        ((THINK, "no ", TOOL_CALLS, "calls ", ARGS, "here", END_THINK, "7", EOS), "no calls here", "7"),
        (("after the end", EOS, "nothing", THINK, "comes"), "", "after the end"),
        ((), "", ""),
    ],
)  # fmt: skip
def test_sections(tokenizer: Tokenizer, parts: tuple[str | int, ...], reasoning: str, answer: str) -> None:
    pieces = split(tokenizer, ids_of(tokenizer, *parts))
    assert texts(pieces) == (reasoning, answer, [])


def test_a_prompt_that_ends_inside_a_thought(tokenizer: Tokenizer) -> None:
    ids = ids_of(tokenizer, "going on", END_THINK, "7", EOS)
    assert texts(split(tokenizer, ids, thinking_open=True)) == ("going on", "7", [])


def test_tool_calls(tokenizer: Tokenizer) -> None:
    first, second = '{"city": "Århus"}', "{}"
    ids = ids_of(
        tokenizer, THINK, "which?", END_THINK, "I look.",
        TOOL_CALLS, "weather", ARGS, first, TOOL_CALLS, "time", ARGS, second, EOS,
    )  # fmt: skip
    calls = [ToolCall("weather", first), ToolCall("time", second)]
    assert texts(split(tokenizer, ids)) == ("which?", "I look.", calls)


def test_a_call_is_sent_when_the_next_one_begins_and_never_when_cut_off(tokenizer: Tokenizer) -> None:
    ids = ids_of(tokenizer, TOOL_CALLS, "one", ARGS, "{}", TOOL_CALLS, "two", ARGS, '{"a":')
    splitter = EventSplitter(tokenizer)
    sent = [piece for token_id in ids for piece in splitter.push(token_id)]
    assert sent == [ToolCall("one", "{}")]
    assert splitter.finish() == []


def test_a_thought_after_a_call(tokenizer: Tokenizer) -> None:
    ids = ids_of(tokenizer, TOOL_CALLS, "one", ARGS, "{}", THINK, "now", END_THINK, "done", EOS)
    assert texts(split(tokenizer, ids)) == ("now", "done", [ToolCall("one", "{}")])


def test_characters_of_several_tokens_come_whole(tokenizer: Tokenizer) -> None:
    family = "👩‍👩‍👧 Ζ"
    by_byte = [FIRST_TEXT_ID + byte for byte in family.encode()]
    pieces = split(tokenizer, [THINK, *by_byte, END_THINK, *by_byte, EOS])
    assert texts(pieces) == (family, family, [])
    assert all("\ufffd" not in piece.text for piece in pieces if not isinstance(piece, ToolCall))


def test_half_a_character_stays_in_its_section(tokenizer: Tokenizer) -> None:
    half = FIRST_TEXT_ID + 0xC3
    pieces = split(tokenizer, [THINK, half, END_THINK, FIRST_TEXT_ID + 0xA9, EOS])
    assert texts(pieces) == ("\ufffd", "\ufffd", [])


def test_stop_strings_end_the_answer_only(tokenizer: Tokenizer) -> None:
    splitter = EventSplitter(tokenizer, stop=["STOP"])
    ids = ids_of(tokenizer, THINK, "STOP is fine here", END_THINK, "one S", "TO", "P two", EOS)
    pieces = [piece for token_id in ids for piece in splitter.push(token_id)] + splitter.finish()
    assert texts(pieces) == ("STOP is fine here", "one ", [])
    assert splitter.stopped


def test_a_stop_string_does_not_span_a_thought(tokenizer: Tokenizer) -> None:
    ids = ids_of(tokenizer, "ST", THINK, "x", END_THINK, "OP", EOS)
    assert texts(split(tokenizer, ids, stop=["STOP"])) == ("x", "STOP", [])


def test_tokens_are_counted_once(tokenizer: Tokenizer) -> None:
    splitter = EventSplitter(tokenizer, stop=["~~"])
    thought, answer = tokenizer.encode_text("a thought of é"), tokenizer.encode_text("an ~ answer")
    ids = [THINK, *thought, END_THINK, *answer, EOS]
    pieces = [piece for token_id in ids for piece in splitter.push(token_id)]
    assert sum(piece.tokens for piece in pieces if isinstance(piece, ReasoningText)) == len(thought)
    assert sum(piece.tokens for piece in pieces if isinstance(piece, AnswerText)) == len(answer)
    assert (splitter.reasoning_tokens, splitter.answer_tokens) == (len(thought), len(answer))


IDS = st.lists(
    st.sampled_from([EOS, TOOL_CALLS, ARGS, THINK, END_THINK, 1, 3, 50]) | st.integers(0, 1123), max_size=60
)


def stretches(tokenizer: Tokenizer, ids: list[int], section: str) -> list[tuple[str, str]]:
    """The sections of a reply in order, by definition: (name, text); a control token ends a character."""
    found: list[tuple[str, str]] = []
    text, run = "", b""
    for token_id in [*ids, EOS]:
        if not tokenizer.is_control(token_id):
            run += tokenizer.token_bytes(token_id)
            continue
        text, run = text + run.decode(errors="replace"), b""
        if token_id == END_THINK and section == "reasoning":
            follows = "answer"
        elif section != "reasoning" and token_id in (THINK, TOOL_CALLS, EOS):
            follows = {THINK: "reasoning", TOOL_CALLS: "tool", EOS: ""}[token_id]
        elif token_id == EOS:
            follows = ""
        else:
            continue
        found.append((section, text))
        section, text = follows, ""
        if token_id == EOS:
            break
    return found


@settings(max_examples=300)
@given(
    ids=IDS, thinking_open=st.booleans(), stop=st.lists(st.sampled_from(["a", "the", "\n", "e "]), max_size=2)
)
def test_any_ids_are_split_by_definition(
    tokenizer: Tokenizer, ids: list[int], thinking_open: bool, stop: list[str]
) -> None:
    expected = {"reasoning": "", "answer": "", "tool": ""}
    for section, text in stretches(tokenizer, ids, "reasoning" if thinking_open else "answer"):
        ends = [text.index(each) + len(each) for each in stop if each in text] if section == "answer" else []
        if ends:
            first = min(ends)
            expected["answer"] += min((text[:first].removesuffix(each) for each in stop), key=len)
            break
        expected[section] += text
    reasoning, answer, _ = texts(split(tokenizer, ids, stop=stop, thinking_open=thinking_open))
    assert (reasoning, answer) == (expected["reasoning"], expected["answer"])
