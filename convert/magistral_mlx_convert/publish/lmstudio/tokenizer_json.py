"""tekken.json -> tokenizer.json: the same byte-level BPE in the format of Hugging Face's `tokenizers`.

Tekken ranks byte strings, and merges the pair whose union has the lowest rank. `tokenizers` wants the list
of pairs instead: every way to split a token into two others, in the order of the tokens' ranks. Bytes are
spelled in the alphabet of GPT-2 (printable characters for all 256), and ids of text follow those of control
tokens.
Format: https://github.com/huggingface/tokenizers (tokenizer.json, version 1.0).
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from magistral_mlx.errors import ConversionError


@dataclass(frozen=True)
class Tekken:
    """The parts of a tekken.json used here: `control` spellings by id, `ranked` bytes of the text tokens."""

    pattern: str
    control: tuple[str, ...]
    ranked: tuple[bytes, ...]


def read_tekken(raw: Mapping[str, object]) -> Tekken:
    """The parts of a parsed tekken.json.

    Raises:
        ConversionError: it is not one.
    """
    try:
        config = cast(Mapping[str, object], raw["config"])
        count, total = int(str(config["default_num_special_tokens"])), int(str(config["default_vocab_size"]))
        named = {
            int(str(each["rank"])): str(each["token_str"])
            for each in cast(Sequence[Mapping[str, object]], raw["special_tokens"])
        }
        words = cast(Sequence[Mapping[str, object]], raw["vocab"])[: total - count]
        return Tekken(
            pattern=str(config["pattern"]),
            control=tuple(named.get(rank, f"<SPECIAL_{rank}>") for rank in range(count)),
            ranked=tuple(base64.b64decode(str(word["token_bytes"]), validate=True) for word in words),
        )
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise ConversionError(
            f"tekken.json can't be read: {type(error).__name__} {error}", "Convert the model again."
        ) from error


def tokenizer_json(tekken: Tekken) -> dict[str, object]:
    """The content of tokenizer.json."""
    spelled = {data: _spelled(data) for data in tekken.ranked}
    control = set(tekken.control)
    # A text token spelled like a control token could never be found: the spelling is taken first.
    usable = {data: rank for rank, data in enumerate(tekken.ranked) if spelled[data] not in control}
    first = len(tekken.control)
    vocab = {name: number for number, name in enumerate(tekken.control)}
    vocab |= {spelled[data]: first + rank for data, rank in usable.items()}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(number, name) for number, name in enumerate(tekken.control)],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": tekken.pattern},
                    "behavior": "Isolated",
                    "invert": False,
                },
                _byte_level(),
            ],
        },
        "post_processor": _begins_with(tekken.control[1], 1),
        "decoder": _byte_level(),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": True,
            "vocab": vocab,
            "merges": [[spelled[left], spelled[right]] for left, right in _merges(usable)],
        },
    }


def _merges(ranks: Mapping[bytes, int]) -> Iterator[tuple[bytes, bytes]]:
    """Every pair whose union is a token, in the order of the union's rank."""
    for token in sorted(ranks, key=ranks.__getitem__):
        pairs = [
            (token[:cut], token[cut:])
            for cut in range(1, len(token))
            if token[:cut] in ranks and token[cut:] in ranks
        ]
        yield from sorted(pairs, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))


def _alphabet() -> dict[int, str]:
    """Byte -> character: itself where it is printable Latin-1, else one from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {
        byte: chr(0x100 + index) for index, byte in enumerate(others)
    }


_CHARACTERS = _alphabet()


def _spelled(data: bytes) -> str:
    return "".join(_CHARACTERS[byte] for byte in data)


def _added(number: int, name: str) -> dict[str, object]:
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": number, "content": name, **plain, "special": True}


def _byte_level() -> dict[str, object]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def _begins_with(name: str, number: int) -> dict[str, object]:
    token = {"SpecialToken": {"id": name, "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    more = {"Sequence": {"id": "B", "type_id": 1}}
    return {
        "type": "TemplateProcessing",
        "single": [token, text],
        "pair": [token, text, more],
        "special_tokens": {name: {"id": name, "ids": [number], "tokens": [name]}},
    }
