"""R5: broken text. What is streamed is what the bytes say, in whole characters, and nothing is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mistral_common.tokens.tokenizers.tekken import SpecialTokenPolicy, Tekkenizer

import magistral_mlx as mm
from magistral_mlx.prompt.tokenizer import TextDecoder, Tokenizer
from support.models import scripted
from support.scripted import END_THINK, EOS, THINK, Script
from support.tekken import write_tekken

CORPUS = [
    "eBay mL NaOH pH",
    "Grüße aus Österreich, ça va ?",
    "数学の問題を解く。",
    "🧑‍🚀🏳️‍🌈 e\u0301 \u200d",
    "A" * 10_000,
    "\t\tx = 'y'\r\n\r\n   z",
    "½ ± √2 ≈ 1.414, Ġ and Ċ are letters",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tekken(tmp_path_factory.mktemp("tekken"), text_count=130_072)


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(folder, None)


@pytest.fixture(scope="module")
def reference(folder: Path) -> Tekkenizer:
    return Tekkenizer.from_file(folder)


def streamed(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    decoder = TextDecoder(tokenizer)
    return [*(decoder.push(token_id) for token_id in ids), decoder.flush()]


@pytest.mark.parametrize("text", CORPUS, ids=range(len(CORPUS)))
def test_ids_and_text_are_those_of_mistral_common(
    tokenizer: Tokenizer, reference: Tekkenizer, text: str
) -> None:
    ids = tokenizer.encode_text(text)
    assert ids == reference.encode(text, bos=False, eos=False)
    assert "".join(streamed(tokenizer, ids)) == text
    assert reference.decode(ids, special_token_policy=SpecialTokenPolicy.IGNORE) == text


@given(pieces=st.lists(st.binary(max_size=4), max_size=20))
def test_random_bytes_stream_as_they_decode_at_once(tokenizer: Tokenizer, pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    shown = streamed(tokenizer, _byte_ids(tokenizer, data))
    assert "".join(shown) == data.decode("utf-8", "replace")


def _byte_ids(tokenizer: Tokenizer, data: bytes) -> list[int]:
    """The tokens of single bytes, which begin the vocabulary."""
    ids = [100 + byte for byte in data]
    assert b"".join(map(tokenizer.token_bytes, ids)) == data
    return ids


@given(text=st.text(max_size=60))
def test_no_piece_ever_holds_half_a_character(tokenizer: Tokenizer, text: str) -> None:
    shown = streamed(tokenizer, _byte_ids(tokenizer, text.encode("utf-8", "ignore")))
    assert "\ufffd" not in "".join(shown) or "\ufffd" in text
    assert "".join(shown) == text.encode("utf-8", "ignore").decode()


SPLIT: Script = [
    THINK,
    b"caf\xc3",
    b"\xa9 ",
    b"\xf0\x9f",
    b"\x98\x80",
    END_THINK,
    b"na\xc3",
    b"\xafve ",
    b"\xff!",
    EOS,
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    with scripted(tmp_path_factory.mktemp("split"), SPLIT) as model:
        yield model


def test_characters_in_pieces_from_the_model_to_the_face(model: mm.Magistral) -> None:
    events = list(model.stream("?"))
    thought = [event.text for event in events if isinstance(event, mm.ReasoningText)]
    answer = [event.text for event in events if isinstance(event, mm.AnswerText)]
    assert "".join(thought) == "café 😀"
    assert "".join(answer) == "naïve \ufffd!"
    assert not any("\ufffd" in piece for piece in thought)


@pytest.mark.parametrize("limit", range(2, 10))
def test_a_cut_in_a_character_shows_it_once_it_goes_on(model: mm.Magistral, limit: int) -> None:
    cut = model.ask("?", max_tokens=limit)
    joined = model.continue_(cut)
    assert (joined.reasoning, joined.answer) == ("café 😀", "naïve \ufffd!")
