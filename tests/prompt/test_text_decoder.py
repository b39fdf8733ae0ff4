"""Streaming bytes to text (requests R5): any pieces, whole characters only, nothing lost at the end."""

from hypothesis import example, given
from hypothesis import strategies as st
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

from magistral_mlx.prompt.tokenizer import TextDecoder, Tokenizer
from support.tekken import SPECIAL_COUNT, VOCAB_SIZE

BYTES = st.integers(SPECIAL_COUNT, SPECIAL_COUNT + 255)
ANY_IDS = st.lists(st.one_of(BYTES, st.integers(0, VOCAB_SIZE - 1)), max_size=60)


def streamed(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    decoder = TextDecoder(tokenizer)
    return [*map(decoder.push, ids), decoder.flush()]


def byte_ids(data: bytes) -> list[int]:
    return [SPECIAL_COUNT + byte for byte in data]


@given(ids=ANY_IDS)
@example(ids=byte_ids("é".encode()[:1]))
@example(ids=[*byte_ids(b"\xf0\x9f"), 34, *byte_ids(b"\x98\x80")])
def test_the_stream_joined_is_mistral_commons_decoding_of_all_ids(
    tokenizer: Tokenizer, reference: MistralTokenizer, ids: list[int]
) -> None:
    assert "".join(streamed(tokenizer, ids)) == reference.decode(ids)


@given(data=st.binary(max_size=60))
def test_any_bytes_stream_as_they_decode_at_once(tokenizer: Tokenizer, data: bytes) -> None:
    assert "".join(streamed(tokenizer, byte_ids(data))) == data.decode("utf-8", "replace")


@given(text=st.text(max_size=40))
def test_text_comes_back_whole_and_never_as_half_a_character(tokenizer: Tokenizer, text: str) -> None:
    pieces = streamed(tokenizer, byte_ids(text.encode()))
    assert "".join(pieces) == text
    assert pieces[-1] == ""
    assert all("\N{REPLACEMENT CHARACTER}" not in piece for piece in pieces) or "\ufffd" in text


def test_a_family_of_emoji_comes_out_character_by_character(tokenizer: Tokenizer) -> None:
    family = "👩‍👩‍👧"
    assert [piece for piece in streamed(tokenizer, byte_ids(family.encode())) if piece] == list(family)


def test_an_unfinished_character_is_flushed_once_and_the_decoder_is_new(tokenizer: Tokenizer) -> None:
    decoder = TextDecoder(tokenizer)
    assert decoder.push(byte_ids(b"\xe2")[0]) == ""
    assert (decoder.flush(), decoder.flush()) == ("\ufffd", "")
    assert decoder.push(byte_ids(b"a")[0]) == "a"


def test_a_control_token_gives_no_text_and_ends_what_was_held_back(tokenizer: Tokenizer) -> None:
    decoder = TextDecoder(tokenizer)
    assert decoder.push(34) == ""
    decoder.push(byte_ids(b"\xe2")[0])
    assert decoder.push(35) == "\ufffd"


def test_ids_beyond_the_vocabulary_do_not_break_a_stream(tokenizer: Tokenizer) -> None:
    assert "".join(streamed(tokenizer, [VOCAB_SIZE + 7, *byte_ids(b"ok"), 10**9])) == "ok"
