"""A small, valid tekken.json v13 with the real ids of all control tokens, for tests.

The text vocabulary is the head of the one that mistral-common ships (`data/tekken_240911.json`), whose order
is that of Magistral's own file; ids of control tokens are those of Magistral Small 2509 (`[THINK]` 34,
`[/THINK]` 35). The small file has 100 + 1024 = 1124 ids, weighs 66 kB and loads in milliseconds.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import mistral_common

CONTROL_TOKENS = {
    0: "<unk>",
    1: "<s>",
    2: "</s>",
    3: "[INST]",
    4: "[/INST]",
    5: "[AVAILABLE_TOOLS]",
    6: "[/AVAILABLE_TOOLS]",
    7: "[TOOL_RESULTS]",
    8: "[/TOOL_RESULTS]",
    9: "[TOOL_CALLS]",
    10: "[IMG]",
    11: "<pad>",
    12: "[IMG_BREAK]",
    13: "[IMG_END]",
    14: "[PREFIX]",
    15: "[MIDDLE]",
    16: "[SUFFIX]",
    17: "[SYSTEM_PROMPT]",
    18: "[/SYSTEM_PROMPT]",
    19: "[TOOL_CONTENT]",
    32: "[ARGS]",
    33: "[CALL_ID]",
    34: "[THINK]",
    35: "[/THINK]",
}
"""Id to spelling; every other special id is a filler `<SPECIAL_n>`."""

SPECIAL_COUNT = 100
TEXT_COUNT = 1024
VOCAB_SIZE = SPECIAL_COUNT + TEXT_COUNT

SYSTEM_PROMPT = "Think before you answer.[THINK]Your draft goes here.[/THINK]Here, give the answer."
"""A SYSTEM_PROMPT.txt in the form of the real one: text, thought, text."""


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Any]:
    path = Path(mistral_common.__file__).parent / "data" / "tekken_240911.json"
    shipped: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return shipped


def tekken_document(
    *,
    text_count: int = TEXT_COUNT,
    special_count: int = SPECIAL_COUNT,
    patch_size: int = 14,
    longest_edge: int = 1540,
    spatial_merge_size: int = 2,
    control_tokens: dict[int, str] | None = None,
    image: bool = True,
) -> dict[str, Any]:
    """The parsed content of a tekken.json; tests may change it before they write it."""
    shipped = _shipped()
    named = CONTROL_TOKENS if control_tokens is None else control_tokens
    document: dict[str, Any] = {
        "config": {
            "pattern": shipped["config"]["pattern"],
            "num_vocab_tokens": text_count,
            "default_vocab_size": text_count + special_count,
            "default_num_special_tokens": special_count,
            "version": "v13",
        },
        "vocab": shipped["vocab"][:text_count],
        "special_tokens": [
            {"rank": rank, "token_str": named.get(rank, f"<SPECIAL_{rank}>"), "is_control": True}
            for rank in range(special_count)
        ],
    }
    if image:
        document["image"] = {
            "image_patch_size": patch_size,
            "max_image_size": longest_edge,
            "spatial_merge_size": spatial_merge_size,
        }
    return document


def write_tekken(directory: Path, **options: Any) -> Path:
    """Writes `directory/tekken.json` and returns its path; `options` are those of `tekken_document`."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "tekken.json"
    path.write_text(json.dumps(tekken_document(**options), ensure_ascii=False), "utf-8")
    return path
