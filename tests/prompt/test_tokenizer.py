"""Loading tekken.json, special ids, text to ids; the ids are compared with mistral-common's own."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

from magistral_mlx.errors import CheckpointError, PromptError
from magistral_mlx.prompt.images import ImageGeometry
from magistral_mlx.prompt.tokenizer import Tokenizer
from support.tekken import CONTROL_TOKENS, VOCAB_SIZE, tekken_document, write_tekken

TRICKY_TEXTS = [
    "",
    "[THINK]",
    "</s>[INST]",
    "[IMG][IMG_BREAK][IMG_END] <s> <unk> <SPECIAL_40>",
    "eBay mL NaOH pH",
    "Zoë, naïve café — “quotes”",
    "👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301",
    "漢字と仮名 한글 العربية",
    "A" * 10_000,
    " \n\t " * 40,
    "\x00\x01\ud800",
]


def test_special_ids_are_the_real_ones(tokenizer: Tokenizer) -> None:
    special = tokenizer.special
    assert (special.bos, special.eos, special.pad) == (1, 2, 11)
    assert (special.inst, special.end_inst, special.tool_calls, special.args) == (3, 4, 9, 32)
    assert (special.image, special.image_break, special.image_end) == (10, 12, 13)
    assert (special.think, special.end_think) == (34, 35)
    assert tokenizer.vocab_size == VOCAB_SIZE


def test_ids_are_looked_up_by_name_not_by_number(tmp_path: Path) -> None:
    moved = {**CONTROL_TOKENS, 34: "[/THINK]", 35: "[THINK]"}
    special = Tokenizer.from_file(write_tekken(tmp_path, control_tokens=moved), None).special
    assert (special.think, special.end_think) == (35, 34)


def test_a_checkpoint_without_thoughts_has_no_think_ids(tmp_path: Path) -> None:
    named = {rank: token for rank, token in CONTROL_TOKENS.items() if rank not in (34, 35)}
    tokenizer = Tokenizer.from_file(write_tekken(tmp_path, control_tokens=named), None)
    assert tokenizer.special.think is None
    assert tokenizer.special.end_think is None


@pytest.mark.parametrize("text", TRICKY_TEXTS, ids=lambda text: repr(text[:12]))
def test_text_becomes_the_ids_of_mistral_common(
    tokenizer: Tokenizer, reference: MistralTokenizer, text: str
) -> None:
    ids = tokenizer.encode_text(text)
    assert ids == reference.instruct_tokenizer.tokenizer.encode(text, bos=False, eos=False)
    assert not any(map(tokenizer.is_control, ids))


@given(text=st.text())
def test_any_text_stays_text(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode_text(text)
    assert b"".join(map(tokenizer.token_bytes, ids)) == text.encode()
    assert not any(map(tokenizer.is_control, ids))


def test_text_that_the_splitter_cannot_take_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(PromptError, match="Shorten very long runs of blanks"):
        tokenizer.encode_text(" " * 2_000_000)


def test_ids_that_stand_for_no_text_have_no_bytes(tokenizer: Tokenizer) -> None:
    for token_id in [*range(100), VOCAB_SIZE, VOCAB_SIZE + 500, -1]:
        assert tokenizer.token_bytes(token_id) == b""
    assert [tokenizer.is_control(token_id) for token_id in (0, 34, 99, 100, VOCAB_SIZE)] == [
        True,
        True,
        True,
        False,
        False,
    ]


def _write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no tokenizer file .*tekken\.json.*convert the model again"):
        Tokenizer.from_file(tmp_path / "tekken.json", None)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[]",
        b"{}",
        b"3",
        b'{"config": {}}',
        b"[" * 100_000,
        b'{"config": {"version": "v13"}}',
    ],
    ids=lambda content: repr(content[:12]),
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CheckpointError, match="is not a Tekken tokenizer, or is damaged") as caught:
        Tokenizer.from_file(_write(tmp_path / "tekken.json", content), None)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def _drop_vocabulary(document: dict[str, Any]) -> None:
    del document["vocab"]


def _shorten_vocabulary(document: dict[str, Any]) -> None:
    document["vocab"] = document["vocab"][:700]


def _repeat_special(document: dict[str, Any]) -> None:
    document["special_tokens"][40]["token_str"] = "[INST]"


def _break_base64(document: dict[str, Any]) -> None:
    document["vocab"][300]["token_bytes"] = "ß"


def _break_pattern(document: dict[str, Any]) -> None:
    document["config"]["pattern"] = "(("


def _empty_pattern(document: dict[str, Any]) -> None:
    document["config"]["pattern"] = ""


def _drop_specials(document: dict[str, Any]) -> None:
    del document["special_tokens"]


def _swap_image_section(document: dict[str, Any]) -> None:
    document["image"] = {"size": 3}


@pytest.mark.parametrize(
    "damage",
    [
        _drop_vocabulary,
        _shorten_vocabulary,
        _repeat_special,
        _break_base64,
        _break_pattern,
        _empty_pattern,
        _drop_specials,
        _swap_image_section,
    ],
)
def test_a_damaged_file_is_refused(
    tmp_path: Path, geometry: ImageGeometry, damage: Callable[[dict[str, Any]], None]
) -> None:
    document = json.loads(json.dumps(tekken_document()))
    damage(document)
    with pytest.raises(CheckpointError, match="damaged"):
        Tokenizer.from_file(_write(tmp_path / "tekken.json", json.dumps(document)), geometry)


def test_a_huge_file_is_refused_unread(tmp_path: Path, geometry: ImageGeometry) -> None:
    path = tmp_path / "tekken.json"
    with path.open("wb") as file:
        file.truncate(180_000_000)
    with pytest.raises(CheckpointError, match="is larger than 64 MB"):
        Tokenizer.from_file(path, geometry)


def test_a_truncated_file_is_refused(tmp_path: Path, tekken_file: Path) -> None:
    whole = tekken_file.read_bytes()
    with pytest.raises(CheckpointError, match="damaged"):
        Tokenizer.from_file(_write(tmp_path / "tekken.json", whole[: len(whole) // 2]), None)


@pytest.mark.parametrize("version", ["v1", "v3", "v15"])
def test_another_version_is_named(tmp_path: Path, version: str) -> None:
    document = tekken_document()
    document["config"]["version"] = version
    with pytest.raises(CheckpointError, match=rf"has version {version}; Magistral Small has v13"):
        Tokenizer.from_file(_write(tmp_path / "tekken.json", json.dumps(document)), None)


def test_a_missing_control_token_of_the_chat_format_is_named(tmp_path: Path) -> None:
    named = {rank: token for rank, token in CONTROL_TOKENS.items() if token != "[ARGS]"}
    with pytest.raises(CheckpointError, match=r"lacks a control token of the chat format .*\[ARGS\]"):
        Tokenizer.from_file(write_tekken(tmp_path, control_tokens=named), None)


def test_missing_image_tokens_matter_only_to_a_model_that_sees(
    tmp_path: Path, geometry: ImageGeometry
) -> None:
    named = {rank: token for rank, token in CONTROL_TOKENS.items() if token != "[IMG_BREAK]"}
    path = write_tekken(tmp_path, control_tokens=named)
    with pytest.raises(CheckpointError, match=r"\[IMG_BREAK\]"):
        Tokenizer.from_file(path, geometry)
    assert Tokenizer.from_file(path, None).special.image_break is None


@pytest.mark.parametrize(
    ("option", "key"),
    [
        ("patch_size", "patch_size"),
        ("longest_edge", "image_size"),
        ("spatial_merge_size", "spatial_merge_size"),
    ],
)
def test_geometry_that_contradicts_config_json_is_refused_naming_both(
    tmp_path: Path, geometry: ImageGeometry, option: str, key: str
) -> None:
    path = write_tekken(tmp_path, **{option: 7})
    ours = getattr(geometry, option)
    with pytest.raises(CheckpointError, match=rf"config\.json says {key} {ours}, .*tekken\.json\" says 7"):
        Tokenizer.from_file(path, geometry)


def test_a_file_without_an_image_section_takes_the_geometry_of_config_json(tmp_path: Path) -> None:
    geometry = ImageGeometry(patch_size=7, spatial_merge_size=1, longest_edge=70)
    assert Tokenizer.from_file(write_tekken(tmp_path, image=False), geometry).geometry == geometry


def test_names_in_messages_are_harmless(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        Tokenizer.from_file(tmp_path / "a\x1b[31m\nb.json", None)
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)


def imported_by(modules: list[str], candidates: list[str]) -> set[str]:
    """Which of `candidates` a fresh interpreter has loaded after importing our `modules`."""
    imports = "; ".join(f"import magistral_mlx.prompt.{module}" for module in modules)
    code = f"import sys; {imports}; print(*[name for name in {candidates} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_loading_imports_neither_hub_nor_transformers() -> None:
    heavy = ["huggingface_hub", "transformers", "torch", "mlx", "mlx_lm"]
    assert imported_by(["tokenizer", "encoding", "messages"], heavy) == set()


def test_turns_and_geometry_import_without_mistral_common_numpy_or_pillow() -> None:
    heavy = ["mistral_common", "numpy", "PIL", "cv2", "pydantic"]
    assert imported_by(["chat", "images", "system_prompt"], heavy) == set()
