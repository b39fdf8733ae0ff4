"""A tekken.json made from a list of tokens encodes as the original, to the byte for the one of the tests."""

import base64
import json
from pathlib import Path
from typing import Any

import mistral_common
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.checkpoint.config import parse_config
from magistral_mlx.errors import ConversionError
from magistral_mlx.prompt.images import ImageGeometry
from magistral_mlx.prompt.tokenizer import Tokenizer
from magistral_mlx_convert.sources.gguf.tekken_rebuild import PATTERN, VocabularyToken, rebuilt_tekken
from support.gguf_checkpoint import _spelled
from support.random_checkpoint import tiny_config
from support.tekken import tekken_document, write_tekken

CONFIG = parse_config(tiny_config())
GEOMETRY = ImageGeometry(patch_size=14, spatial_merge_size=2, longest_edge=1540)


def vocabulary(document: dict[str, Any]) -> list[VocabularyToken]:
    special = [VocabularyToken(token["token_str"], True) for token in document["special_tokens"]]
    text = [base64.b64decode(token["token_bytes"]) for token in document["vocab"]]
    return special + [VocabularyToken(_spelled(piece), False) for piece in text]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, Tokenizer]:
    """The original and the rebuilt one."""
    folder = tmp_path_factory.mktemp("tekken")
    original = Tokenizer.from_file(write_tekken(folder / "a"), GEOMETRY)
    path = folder / "tekken.json"
    path.write_bytes(rebuilt_tekken(vocabulary(tekken_document()), CONFIG, where="x.gguf"))
    return original, Tokenizer.from_file(path, GEOMETRY)


def test_the_document_is_the_original() -> None:
    document = tekken_document()
    assert json.loads(rebuilt_tekken(vocabulary(document), CONFIG, where="x.gguf")) == document


@given(st.text(max_size=60))
def test_any_text_is_encoded_alike(both: tuple[Tokenizer, Tokenizer], text: str) -> None:
    original, rebuilt = both
    assert rebuilt.encode_text(text) == original.encode_text(text)
    assert rebuilt.special == original.special


def test_the_pattern_is_that_of_the_family() -> None:
    path = Path(mistral_common.__file__).parent / "data" / "tekken_240911.json"
    assert json.loads(path.read_text("utf-8"))["config"]["pattern"] == PATTERN


def test_padding_behind_the_text_is_left_out() -> None:
    document = tekken_document()
    padded = [*vocabulary(document), VocabularyToken("[PAD1124]", True), VocabularyToken("[PAD1125]", True)]
    assert json.loads(rebuilt_tekken(padded, CONFIG, where="x.gguf")) == document


@pytest.mark.parametrize(
    "tokens",
    [
        [],
        [VocabularyToken("<s>", True), VocabularyToken("</s>", True)],
        [VocabularyToken("a", False)] * 300,
        vocabulary(tekken_document())[:150],
        [token for token in vocabulary(tekken_document()) if token.spelling != "</s>"],
    ],
    ids=["nothing", "no text", "no control tokens", "not all bytes", "no end"],
)
def test_another_vocabulary_is_refused(tokens: list[VocabularyToken]) -> None:
    with pytest.raises(ConversionError, match=r"x\.gguf holds no Tekken tokenizer"):
        rebuilt_tekken(tokens, CONFIG, where="x.gguf")


def test_a_spelling_that_is_none_is_named() -> None:
    tokens = [*vocabulary(tekken_document()), VocabularyToken("\N{SNOWMAN}", False)]
    with pytest.raises(ConversionError, match=r"x\.gguf spells a token as '☃'"):
        rebuilt_tekken(tokens, CONFIG, where="x.gguf")
