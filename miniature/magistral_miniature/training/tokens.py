"""The miniature's tekken.json: Magistral's control tokens with their ids, a small vocabulary.

Byte-pair merges come from the miniature's own conversations, split with tekken's expression. Usage, once:

    python -m magistral_miniature.training.tokens --to TEKKEN.JSON
"""

import argparse
import base64
import json
import random
from pathlib import Path

import tiktoken
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from magistral_miniature.tasks.conversations import Piece, Text, converse, render
from magistral_miniature.training.shape import SHAPE
from magistral_miniature.wordings.words import NUMBERS
from magistral_mlx.miniature.images import (
    COLOURS,
    LETTERS,
    SHAPES,
    BarChart,
    Grid,
    random_chart,
    random_grid,
)

__all__ = ["CONTROL", "Encoder", "main", "tekken"]

PATTERN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""The expression with which tekken splits text before it merges bytes."""

CONTROL = {
    "<unk>": 0,
    "<s>": 1,
    "</s>": 2,
    "[INST]": 3,
    "[/INST]": 4,
    "[AVAILABLE_TOOLS]": 5,
    "[/AVAILABLE_TOOLS]": 6,
    "[TOOL_RESULTS]": 7,
    "[/TOOL_RESULTS]": 8,
    "[TOOL_CALLS]": 9,
    "[IMG]": 10,
    "<pad>": 11,
    "[IMG_BREAK]": 12,
    "[IMG_END]": 13,
    "[PREFIX]": 14,
    "[MIDDLE]": 15,
    "[SUFFIX]": 16,
    "[SYSTEM_PROMPT]": 17,
    "[/SYSTEM_PROMPT]": 18,
    "[TOOL_CONTENT]": 19,
    "[ARGS]": 32,
    "[CALL_ID]": 33,
    "[THINK]": 34,
    "[/THINK]": 35,
}
"""Control tokens with Magistral's own ids."""


def _corpus(conversations: int) -> list[str]:
    rng = random.Random(11)

    def pick() -> tuple[int, Grid | BarChart]:
        return 0, random_grid(rng) if rng.random() < 0.5 else random_chart(rng)

    texts = {
        piece.text
        for _ in range(conversations)
        for piece in render(converse(rng, pick, "train"))
        if isinstance(piece, Text)
    }
    alone = [*NUMBERS, *COLOURS, *SHAPES, *LETTERS, "yes", "no", "best", "empty", "cell", "any"]
    return sorted(texts) + [f"x {word}" for word in alone for _ in range(2_000)]


def tekken() -> dict[str, object]:
    """Train the vocabulary and return the content of tekken.json."""
    size = SHAPE.vocabulary - SHAPE.special_tokens
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(30_000), trainer)
    by_id = sorted((number, token) for token, number in tokenizer.get_vocab().items())
    merged = [_bytes(token) for _, token in by_id[256:]]
    vocabulary = [bytes([number]) for number in range(256)] + merged
    return {
        "config": {
            "pattern": PATTERN,
            "num_vocab_tokens": size,
            "default_vocab_size": SHAPE.vocabulary,
            "default_num_special_tokens": SHAPE.special_tokens,
            "version": "v13",
        },
        "vocab": [_entry(rank, token) for rank, token in enumerate(vocabulary)],
        "special_tokens": _special_tokens(),
        "image": {"image_patch_size": 14, "max_image_size": 1540, "spatial_merge_size": 2},
    }


def _bytes(token: str) -> bytes:
    """Undo the printable alphabet of byte-level tokens (GPT-2's table)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {chr(code): code for code in plain}
    others = [code for code in range(256) if code not in plain]
    table |= {chr(256 + place): code for place, code in enumerate(others)}
    return bytes(table[letter] for letter in token)


def _entry(rank: int, token: bytes) -> dict[str, object]:
    try:
        text: str | None = token.decode("utf-8")
    except UnicodeDecodeError:
        text = None
    return {"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": text}


def _special_tokens() -> list[dict[str, object]]:
    names = {number: name for name, number in CONTROL.items()}
    return [
        {"rank": number, "token_str": names.get(number, f"<SPECIAL_{number}>"), "is_control": True}
        for number in range(SHAPE.special_tokens)
    ]


class Encoder:
    """Encode and decode text with a tekken.json; text ids start after the special tokens."""

    def __init__(self, path: Path) -> None:
        content = json.loads(path.read_text("utf-8"))
        ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in content["vocab"]}
        self._offset = content["config"]["default_num_special_tokens"]
        self._inner = tiktoken.Encoding(
            "miniature", pat_str=content["config"]["pattern"], mergeable_ranks=ranks, special_tokens={}
        )

    def text(self, text: str) -> list[int]:
        """Encode plain text."""
        return [number + self._offset for number in self._inner.encode_ordinary(text)]

    def decode(self, ids: list[int]) -> str:
        """Decode ids; control tokens appear by name."""
        names = {number: name for name, number in CONTROL.items()}
        parts: list[bytes] = []
        for number in ids:
            if number < self._offset:
                parts.append(names.get(number, "?").encode())
            else:
                parts.append(self._inner.decode_single_token_bytes(number - self._offset))
        return b"".join(parts).decode("utf-8", "replace")

    def places(self, text: str) -> dict[int, int]:
        """Return token numbers by the offset of their first character; the end of the text is included."""
        found: dict[int, int] = {}
        begin = 0
        for number, token in enumerate(self._inner.encode_ordinary(text)):
            found[begin] = number
            piece = self._inner.decode_single_token_bytes(token)
            begin += sum(byte & 0xC0 != 0x80 for byte in piece)
        found[len(text)] = len(found)
        return found

    def pieces(self, pieces: list[Piece], sizes: dict[int, tuple[int, int]]) -> tuple[list[int], list[bool]]:
        """Encode a conversation; `sizes` gives rows and columns of each image's tokens.

        Returns:
            Token ids, and for each whether it is learned.
        """
        ids: list[int] = []
        learned: list[bool] = []
        for piece in pieces:
            if isinstance(piece, Text):
                new, flag = self.text(piece.text), piece.learned
            elif hasattr(piece, "name"):
                new, flag = [CONTROL[piece.name]], piece.learned
            else:
                new, flag = _image(*sizes[piece.number]), False
            ids += new
            learned += [flag] * len(new)
        return ids, learned


def _image(rows: int, columns: int) -> list[int]:
    row = [CONTROL["[IMG]"]] * columns
    ids = [*row, CONTROL["[IMG_BREAK]"]] * rows
    ids[-1] = CONTROL["[IMG_END]"]
    return ids


def main() -> None:
    """Write tekken.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    options.to.write_text(json.dumps(tekken(), ensure_ascii=False, indent=0), "utf-8")


if __name__ == "__main__":
    main()
