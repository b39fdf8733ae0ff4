"""`tekken.json` from a list of tokens, for sources that hold the vocabulary but not the file.

Tokens are spelled as GPT-2 does it: each byte is a printable character. Ranks, bytes and control tokens are
all there; the pattern that cuts text before merging is a constant of the Tekken family, and the section on
images follows from the config.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from magistral_mlx.checkpoint.config import ModelConfig
from magistral_mlx.errors import ConversionError

PATTERN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Of every Tekken tokenizer (mistral-common's data/tekken_240911.json)."""

_REMEDY = "Take the tekken.json of the original model and name it with --tokenizer."


@dataclass(frozen=True)
class VocabularyToken:
    """A token as it is spelled, and whether it is a control token."""

    spelling: str
    is_control: bool


def rebuilt_tekken(tokens: Sequence[VocabularyToken], config: ModelConfig, *, where: str) -> bytes:
    """The content of a `tekken.json` with these tokens, the control tokens first.

    Args:
        tokens: by id; control tokens behind the text are padding and left out.
        config: of the model.
        where: the file that they come from, for messages.

    Raises:
        ConversionError: this is no Tekken vocabulary.
    """
    special = next((rank for rank, token in enumerate(tokens) if not token.is_control), len(tokens))
    end = len(tokens)
    while end > special and tokens[end - 1].is_control:
        end -= 1
    names = [token.spelling for token in tokens[:special]]
    pieces = [_bytes_of(token, where=where) for token in tokens[special:end]]
    if {"<s>", "</s>"} - set(names) or set(pieces[:256]) != {bytes([value]) for value in range(256)}:
        raise ConversionError(f"{where} holds no Tekken tokenizer", _REMEDY)
    version = "v13" if "[THINK]" in names else "v11" if "[ARGS]" in names else "v7"
    document: dict[str, object] = {
        "config": {
            "pattern": PATTERN,
            "num_vocab_tokens": len(pieces),
            "default_vocab_size": end,
            "default_num_special_tokens": special,
            "version": version,
        },
        "vocab": [
            {"rank": rank, "token_bytes": base64.b64encode(piece).decode(), "token_str": _text_of(piece)}
            for rank, piece in enumerate(pieces)
        ],
        "special_tokens": [
            {"rank": rank, "token_str": name, "is_control": True} for rank, name in enumerate(names)
        ],
    }
    if config.vision is not None:
        document["image" if version == "v13" else "multimodal"] = {
            "image_patch_size": config.vision.patch_size,
            "max_image_size": config.vision.image_size,
            "spatial_merge_size": config.spatial_merge_size,
        }
    return json.dumps(document, ensure_ascii=False).encode()


def tekken_of_tokenizer_json(raw: Mapping[str, object], config: ModelConfig, *, where: str) -> bytes:
    """The content of a `tekken.json` from a `tokenizer.json` of the same vocabulary.

    Raises:
        ConversionError: this is no Tekken vocabulary.
    """
    model = raw.get("model")
    vocabulary = cast(Mapping[str, object], model).get("vocab") if isinstance(model, Mapping) else None
    added = raw.get("added_tokens")
    if not isinstance(vocabulary, Mapping) or not isinstance(added, list):
        raise ConversionError(f"{where} holds no Tekken tokenizer", _REMEDY)
    tokens = {
        rank: VocabularyToken(spelling, False)
        for spelling, rank in _ranks(cast(Mapping[object, object], vocabulary))
    }
    for entry in (cast(Mapping[str, object], entry) for entry in cast(list[object], added)):
        if isinstance(entry, Mapping) and entry.get("special") and isinstance(entry.get("id"), int):  # pyright: ignore[reportUnnecessaryIsInstance]  # the file is foreign
            tokens[cast(int, entry["id"])] = VocabularyToken(str(entry.get("content")), True)
    if tokens.keys() != set(range(len(tokens))):
        raise ConversionError(f"{where} leaves ids without a token", _REMEDY)
    return rebuilt_tekken([tokens[rank] for rank in range(len(tokens))], config, where=where)


def _ranks(vocabulary: Mapping[object, object]) -> Iterator[tuple[str, int]]:
    for spelling, rank in vocabulary.items():
        if isinstance(spelling, str) and isinstance(rank, int):
            yield spelling, rank


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's characters for bytes: printable Latin-1 stands for itself, the rest follows from U+0100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [value for value in range(256) if value not in plain]
    alphabet = {chr(value): value for value in plain}
    return alphabet | {chr(0x100 + place): value for place, value in enumerate(others)}


_ALPHABET = _byte_alphabet()


def _bytes_of(token: VocabularyToken, *, where: str) -> bytes:
    try:
        return bytes(_ALPHABET[character] for character in token.spelling)
    except KeyError as error:
        raise ConversionError(f"{where} spells a token as {token.spelling!r:.40}", _REMEDY) from error


def _text_of(piece: bytes) -> str | None:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return None
