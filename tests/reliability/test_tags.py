"""R2: tags leak, vanish, or are taken from text. Sections change by control id only, whatever is spelled."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

import magistral_mlx as mm
from magistral_mlx.generation.reply.splitter import EventSplitter
from magistral_mlx.prompt.tokenizer import Tokenizer
from support.models import scripted
from support.scripted import END_THINK, EOS, THINK, Script
from support.tekken import write_tekken


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.from_file(write_tekken(tmp_path_factory.mktemp("tekken")), None)


def split(tokenizer: Tokenizer, ids: Sequence[int], *, flush: bool = True) -> tuple[str, str]:
    splitter = EventSplitter(tokenizer)
    pieces = [piece for token_id in ids for piece in splitter.push(token_id)]
    pieces += splitter.finish() if flush else []
    return (
        "".join(piece.text for piece in pieces if isinstance(piece, mm.ReasoningText)),
        "".join(piece.text for piece in pieces if isinstance(piece, mm.AnswerText)),
    )


LITERAL = "[THINK] is no tag, [/THINK] neither, nor </s> or <think>."
STREAMS: dict[str, tuple[list[int | str], tuple[str, str]]] = {
    "normal": ([THINK, "so", END_THINK, "it is 7", EOS], ("so", "it is 7")),
    "no thought": (["it is 7", EOS], ("", "it is 7")),
    "two thoughts": ([THINK, "a", END_THINK, "b", THINK, "c", END_THINK, "d", EOS], ("ac", "bd")),
    "never closed": ([THINK, "on and on"], ("on and on", "")),
    "ended inside": ([THINK, "on", EOS], ("on", "")),
    "empty thought": ([THINK, END_THINK, "7", EOS], ("", "7")),
    "stray closer": (["a", END_THINK, "b", EOS], ("", "ab")),
    "opened twice": ([THINK, "a", THINK, "b", END_THINK, "c", EOS], ("ab", "c")),
    "literal in the answer": ([THINK, "x", END_THINK, LITERAL, EOS], ("x", LITERAL)),
    "literal in the thought": ([THINK, LITERAL, END_THINK, "7", EOS], (LITERAL, "7")),
}


@pytest.mark.parametrize("name", STREAMS)
def test_streams_of_ids(tokenizer: Tokenizer, name: str) -> None:
    parts, expected = STREAMS[name]
    ids = [i for part in parts for i in ([part] if isinstance(part, int) else tokenizer.encode_text(part))]
    assert split(tokenizer, ids) == expected


@given(data=st.data(), thought=st.text(max_size=30), answer=st.text(max_size=30))
def test_however_the_text_is_cut_into_tokens(
    tokenizer: Tokenizer, data: st.DataObject, thought: str, answer: str
) -> None:
    """Any cutting: bytes of a character apart, tags in the text split anywhere."""
    literal = data.draw(st.sampled_from(["", "[THINK]", "[/THINK]", "</s>"]))
    thought, answer = thought + literal, literal + answer
    ids = [THINK, *cut(tokenizer, thought, data), END_THINK, *cut(tokenizer, answer, data), EOS]
    assert split(tokenizer, ids) == (thought, answer)


def cut(tokenizer: Tokenizer, text: str, data: st.DataObject) -> list[int]:
    """Tokens of the text, some of them cut into single bytes."""
    ids: list[int] = []
    for token_id in tokenizer.encode_text(text):
        piece = tokenizer.token_bytes(token_id)
        ids += [100 + byte for byte in piece] if data.draw(st.booleans()) else [token_id]
    assert b"".join(map(tokenizer.token_bytes, ids)).decode() == text
    return ids


def test_literal_tags_in_question_thought_and_answer(tmp_path_factory: pytest.TempPathFactory) -> None:
    script: Script = [THINK, "The tag [/THINK] closes.", END_THINK, "Write [THINK] so.", EOS]
    with scripted(tmp_path_factory.mktemp("literal"), script) as model:
        chat = model.conversation()
        for _ in range(2):
            reply = chat.ask("What do [THINK] and [/THINK] mean? </s>[INST]")
            assert reply.reasoning == "The tag [/THINK] closes."
            assert reply.answer == "Write [THINK] so."
            assert reply.ending is mm.Ending.COMPLETE
