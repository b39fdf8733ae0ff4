"""Checkpoints that say exactly what a test wants: real folders, converted and run by the real program.

    write_scripted_checkpoint(tmp_path, [THINK, "Four and three.", END_THINK, "It is **7**.", EOS])

writes a Hugging Face folder (the form that `magistral convert` takes) whose model answers every prompt so.
All residual branches are zero, so the next token depends on the current token alone: each id's embedding is
its own code of +1 and -1, and the head's row of an id is the code of the id before it in the script. The
margin is so wide that sampling at any usual temperature, bfloat16 and 4 bits change nothing.

A script is a list of ids (control tokens), text, and bytes. Text is cut into tokens of a few bytes that the
folder's own tekken.json gets as vocabulary; no two of them are equal, as each token may have one follower
only. Bytes become exactly one token. Limits that follow from it:

* a control token can stand once in all chains, unless it is followed by the same token each time;
* text that repeats itself without end can't be cut into different tokens; write a loop with `loop_to`;
* the same answer comes in every turn (give `chains` for other last prompt tokens, such as tool results).
"""

# pyright: reportUnknownMemberType=false
# Reason: mlx leaves *shape of its array methods without types.

import base64
import copy
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx

from magistral_mlx.checkpoint.config import parse_config
from magistral_mlx.checkpoint.parameters import parameter_shapes
from support.random_checkpoint import random_weights, tiny_config, write_source
from support.tekken import SPECIAL_COUNT, TEXT_COUNT, tekken_document

EOS = 2
END_INSTRUCTION = 4
END_TOOL_RESULTS = 8
TOOL_CALLS = 9
ARGS = 32
THINK = 34
END_THINK = 35

Script = Sequence[int | str | bytes]

HIDDEN_SIZE = 256
_DEFAULT_LOGIT = 0.4
"""What </s> gets after a token without follower, as a share of what a scripted follower gets."""
_LENGTHS = (4, 5, 6, 3, 7, 8, 2, 9, 10, 11, 12, 1, 13, 14, 15, 16)
"""Bytes per token, the preferred first."""
_MOST_TRIES = 20_000


def write_scripted_checkpoint(
    directory: Path,
    script: Script,
    *,
    loop_to: int | None = None,
    chains: Mapping[int, Script] | None = None,
    vision: bool = True,
    rope_theta: float = 1e9,
) -> Path:
    """Writes the folder and returns it.

    Args:
        directory: where to; made if need be.
        script: what follows `[/INST]` (and `[/THINK]`, where the script does not use it, so that a prompt
            that switches thinking off is answered too).
        loop_to: index in `script` of the element that comes again after the last one, for ever.
        chains: further scripts by the prompt's last token, such as `END_TOOL_RESULTS`.
        vision: whether the model has eyes; what they see changes nothing.
        rope_theta: changes nothing either; for tests of the config.
    """
    document, followers = _compile({END_INSTRUCTION: script, **(chains or {})}, loop_to=loop_to)
    vocabulary = SPECIAL_COUNT + len(document["vocab"])
    config = _config(vocabulary, vision=vision, rope_theta=rope_theta)
    write_source(directory, config=config, weights=_weights(config, followers))
    (directory / "tekken.json").write_text(json.dumps(document, ensure_ascii=False), "utf-8")
    return directory


def counting(count: int, *, start: int = 1) -> str:
    """Text that goes on without repeating itself: "1, 2, 3, ..."; for thoughts that never close."""
    return "".join(f"{number}, " for number in range(start, start + count))


def _compile(chains: Mapping[int, Script], *, loop_to: int | None) -> tuple[dict[str, Any], dict[int, int]]:
    """The tokenizer with the scripts' pieces in its vocabulary, and each id's follower."""
    document = copy.deepcopy(tekken_document())
    ids = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in document["vocab"]}
    assert len(ids) == TEXT_COUNT
    used: set[bytes] = set()
    followers: dict[int, int] = {}
    for start, script in chains.items():
        tokens: list[int] = []
        beginnings: list[int] = []
        for element in script:
            beginnings.append(len(tokens))
            if isinstance(element, int):
                tokens.append(element)
                continue
            pieces = [element] if isinstance(element, bytes) else _cut(element.encode(), used)
            used.update(pieces)
            for piece in pieces:
                tokens.append(SPECIAL_COUNT + ids.setdefault(piece, len(ids)))
        path = [start, *tokens]
        if start == END_INSTRUCTION and loop_to is not None:
            path.append(tokens[beginnings[loop_to]])
        _join(followers, path)
    followers.setdefault(END_THINK, followers[END_INSTRUCTION])
    document["vocab"] = [
        {"rank": rank, "token_bytes": base64.b64encode(piece).decode(), "token_str": _spelling(piece)}
        for piece, rank in ids.items()
    ]
    document["config"]["num_vocab_tokens"] = len(ids)
    document["config"]["default_vocab_size"] = SPECIAL_COUNT + len(ids)
    return document, followers


def _join(followers: dict[int, int], path: Sequence[int]) -> None:
    for token, follower in itertools.pairwise(path):
        if token != EOS and followers.setdefault(token, follower) != follower:
            raise ValueError(f"token {token} would need two followers: {followers[token]} and {follower}")


def _spelling(piece: bytes) -> str | None:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return None


def _cut(text: bytes, used: set[bytes]) -> list[bytes]:
    """Cuts `text` into pieces that differ from each other and from `used`; goes back where it got stuck."""
    taken = set(used)
    pieces: list[bytes] = []
    choices: list[Iterator[bytes]] = [_candidates(text, 0)]
    position = 0
    for _ in range(_MOST_TRIES):
        if position == len(text):
            return pieces
        piece = next((one for one in choices[-1] if one not in taken), None)
        if piece is not None:
            pieces.append(piece)
            taken.add(piece)
            position += len(piece)
            choices.append(_candidates(text, position))
        elif pieces:
            choices.pop()
            taken.remove(pieces[-1])
            position -= len(pieces.pop())
        else:
            break
    raise ValueError(f"found no way to cut {text[:40]!r} into different pieces; use loop_to for a loop")


def _candidates(text: bytes, position: int) -> Iterator[bytes]:
    return (text[position : position + length] for length in _LENGTHS if position + length <= len(text))


def _config(vocabulary: int, *, vision: bool, rope_theta: float) -> dict[str, Any]:
    config = tiny_config(vision=vision)
    config["text_config"] |= {
        "hidden_size": HIDDEN_SIZE,
        "num_hidden_layers": 1,
        "vocab_size": vocabulary,
        "rope_theta": rope_theta,
    }
    return config


def _weights(config: Mapping[str, Any], followers: Mapping[int, int]) -> dict[str, mx.array]:
    """The codes in embedding and head, zero at the end of each branch; the rest is random and idle."""
    shapes = parameter_shapes(parse_config(config))
    weights = random_weights(config)
    for name in weights:
        if name.startswith("language_model.") and name.endswith(("o_proj.weight", "down_proj.weight")):
            weights[name] = mx.zeros(shapes[name], dtype=mx.bfloat16)
    weights["language_model.model.norm.weight"] = mx.ones([HIDDEN_SIZE], dtype=mx.bfloat16)
    vocabulary = config["text_config"]["vocab_size"]
    # The first element of every code is 1: through it </s> follows where the script says nothing.
    codes = 2.0 * mx.random.bernoulli(shape=[vocabulary, HIDDEN_SIZE], key=mx.random.key(1)) - 1.0
    codes[:, 0] = 1.0
    head = mx.zeros([vocabulary, HIDDEN_SIZE])
    head[EOS, 0] = _DEFAULT_LOGIT * HIDDEN_SIZE
    for token, follower in followers.items():
        head[follower, 1:] = head[follower, 1:] + codes[token, 1:]
    weights["language_model.model.embed_tokens.weight"] = codes.astype(mx.bfloat16)
    weights["language_model.lm_head.weight"] = head.astype(mx.bfloat16)
    return weights
