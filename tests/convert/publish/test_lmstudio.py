"""A folder in LM Studio: where it goes, what is in it, and that its tokenizer agrees with mistral-common."""

import json
from pathlib import Path
from typing import Any

import mlx_lm.utils
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as HuggingFaceTokenizer

from magistral_mlx.checkpoint.folder import Checkpoint, open_checkpoint
from magistral_mlx.checkpoint.manifest import verify_folder
from magistral_mlx.commands.main import main
from magistral_mlx.errors import ConversionError, UsageError
from magistral_mlx.prompt.tokenizer import Tokenizer
from magistral_mlx_convert import convert
from magistral_mlx_convert.publish.lmstudio import checking, placing
from magistral_mlx_convert.publish.lmstudio.checking import check_tokenizer, geometry_of, renderer
from magistral_mlx_convert.publish.lmstudio.hf_files import hf_files
from magistral_mlx_convert.publish.lmstudio.placing import models_folder, place_in_lmstudio
from magistral_mlx_convert.publish.lmstudio.tokenizer_json import read_tekken, tokenizer_json
from support.random_checkpoint import tiny_config, write_converted, write_source
from support.tekken import SYSTEM_PROMPT, tekken_document


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return convert(write_source(tmp_path / "hf"), tmp_path / "out", name="Tiny Magistral")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return open_checkpoint(write_converted(tmp_path_factory.mktemp("converted")))


@pytest.fixture(scope="module")
def both(checkpoint: Checkpoint) -> tuple[HuggingFaceTokenizer, Tokenizer]:
    ours = HuggingFaceTokenizer.from_buffer(hf_files(checkpoint)["tokenizer.json"])
    return ours, Tokenizer.from_file(checkpoint.tokenizer_file, geometry_of(checkpoint))


@settings(max_examples=300)
@given(text=st.text(max_size=60) | st.text(alphabet="aAeE tTnN'\n. 1é中", max_size=60))
def test_any_text_gives_the_ids_of_mistral_common(
    both: tuple[HuggingFaceTokenizer, Tokenizer], text: str
) -> None:
    ours, theirs = both
    # Transformers takes a text that spells a control token for the token: its format knows no other way.
    assume(not any(token.content in text for token in ours.get_added_tokens_decoder().values()))
    assert ours.encode(text, add_special_tokens=False).ids == theirs.encode_text(text)


@pytest.mark.thorough
def test_the_whole_vocabulary(tmp_path: Path) -> None:
    document = tekken_document(text_count=130_072, special_count=1000)
    (tmp_path / "tekken.json").write_text(json.dumps(document, ensure_ascii=False))
    made = tokenizer_json(read_tekken(document))
    ours = HuggingFaceTokenizer.from_buffer(json.dumps(made, ensure_ascii=False).encode())
    theirs = Tokenizer.from_file(tmp_path / "tekken.json", None)
    assert ours.get_vocab_size() == 131_072
    for text in (*checking.PROBES, *checking.calibration_texts().values()):
        ids = theirs.encode_text(text)
        assert ours.encode(text, add_special_tokens=False).ids == ids
        assert ours.decode(ids) == text
    assert ours.encode("Hi").ids[0] == theirs.special.bos


def test_the_template_follows_this_program(checkpoint: Checkpoint) -> None:
    render = renderer(hf_files(checkpoint))
    question = [{"role": "user", "content": "Hi"}]
    told = [{"role": "system", "content": "Be brief."}, *question]
    own = [{"role": "system", "content": "A[THINK]b[/THINK]c"}, *question]
    assert render(question) == f"<s>[SYSTEM_PROMPT]{SYSTEM_PROMPT}[/SYSTEM_PROMPT][INST]Hi[/INST]"
    assert render(told).startswith(f"<s>[SYSTEM_PROMPT]Be brief.\n\n{SYSTEM_PROMPT}[/SYSTEM_PROMPT]")
    assert render(own).startswith("<s>[SYSTEM_PROMPT]A[THINK]b[/THINK]c[/SYSTEM_PROMPT]")
    assert render(question, thinking=False) == "<s>[INST]Hi[/INST][THINK][/THINK]"
    chunks: list[dict[str, Any]] = [
        {"type": "text", "text": "A"},
        {"type": "thinking", "thinking": [{"type": "text", "text": "b"}]},
        {"type": "text", "text": "c"},
    ]
    assert render([{"role": "system", "content": chunks}, *question]) == render(own)
    assert render([*question, {"role": "assistant", "content": chunks}]).endswith("A[THINK]b[/THINK]c</s>")


def test_tools_as_mistral_common_spells_them(
    checkpoint: Checkpoint, both: tuple[HuggingFaceTokenizer, Tokenizer]
) -> None:
    ours, theirs = both
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    function = {"name": "weather", "description": "Météo", "parameters": parameters}
    call = {"name": "weather", "arguments": '{"city": "Köln"}'}
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": [{"type": "thinking", "thinking": "b", "closed": True}]},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "tool_calls": [{"id": "123456789", "type": "function", "function": call}]},
        {"role": "tool", "content": "rain", "tool_call_id": "123456789", "name": "weather"},
    ]
    tools = [{"type": "function", "function": function}]
    expected = theirs.encode_messages(messages, tools=tools).token_ids
    spelled = renderer(hf_files(checkpoint))(messages, tools=tools)
    described = spelled.partition("[/AVAILABLE_TOOLS]")[2]
    found = ours.encode(described, add_special_tokens=False).ids
    assert tuple(found) == expected[-len(found) :]
    head = ours.decode(expected[: len(expected) - len(found)], skip_special_tokens=False)
    assert '"name": "weather", "description": "Météo"' in head


def test_it_lies_where_lm_studio_looks(folder: Path, own_home: Path) -> None:
    placed = place_in_lmstudio(folder)
    assert placed == own_home / ".lmstudio/models/magistral-mlx/Tiny-Magistral"
    assert {path.name for path in placed.iterdir()} - {path.name for path in folder.iterdir()} == {
        "chat_template.jinja",
        "preprocessor_config.json",
        "processor_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert verify_folder(placed).bad == verify_folder(folder).bad == ()
    (weights,) = folder.glob("*.safetensors")
    assert (placed / weights.name).samefile(weights), "no second copy of the weights"
    assert not (placed / "config.json").samefile(folder / "config.json")
    assert list(placed.parent.iterdir()) == [placed], "nothing else is left"


def test_lm_studio_may_keep_its_models_elsewhere(own_home: Path, tmp_path: Path) -> None:
    assert models_folder() == own_home / ".lmstudio/models"
    (own_home / ".cache/lm-studio").mkdir(parents=True)
    assert models_folder() == own_home / ".cache/lm-studio/models"
    (tmp_path / "home").mkdir()
    (own_home / ".lmstudio-home-pointer").write_text(f"{tmp_path / 'home'}\n")
    assert models_folder() == tmp_path / "home/models"
    settings = tmp_path / "home/settings.json"
    settings.write_text(json.dumps({"downloadsFolder": str(tmp_path / "models")}))
    assert models_folder() == tmp_path / "models"
    settings.write_text(json.dumps({"downloadsFolder": "relative"}))
    assert models_folder() == tmp_path / "home/models"
    settings.write_text("{")
    with pytest.raises(ConversionError, match=r"settings\.json can't be read"):
        models_folder()


def test_mlx_lm_loads_it_with_its_tokenizer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    placed = place_in_lmstudio(folder, identifier="me/tiny")
    (placed / "tekken.json").unlink()  # as where mistral-common is not installed
    _, tokenizer = mlx_lm.utils.load(str(placed))
    assert tokenizer.encode("eBay mL") == [
        1,
        *Tokenizer.from_file(folder / "tekken.json", None).encode_text("eBay mL"),
    ]
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], add_generation_prompt=True)
    assert tokenizer.decode(prompt).startswith("<s>[SYSTEM_PROMPT]Think before you answer.[THINK]")
    assert tokenizer.eos_token_id == 2


def test_a_tokenizer_that_differs_is_not_placed(
    folder: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        checking, "PROBES", ("what [THINK] is",)
    )  # a control token to one, a text to the other
    with pytest.raises(ConversionError, match="other ids than mistral-common for the text"):
        place_in_lmstudio(folder)
    assert not (own_home / ".lmstudio").exists()


def test_a_broken_template_is_noticed(checkpoint: Checkpoint) -> None:
    files = hf_files(checkpoint)
    spoiled = files["chat_template.jinja"].replace(b"'[/INST]'", b"' [/INST]'")
    with pytest.raises(ConversionError, match="for one question"):
        check_tokenizer(files | {"chat_template.jinja": spoiled}, checkpoint)


def test_a_model_of_that_name_stays(folder: Path) -> None:
    placed = place_in_lmstudio(folder, identifier="me/tiny")
    with pytest.raises(ConversionError, match="has a model me/tiny already"):
        place_in_lmstudio(folder, identifier="me/tiny")
    assert verify_folder(placed).bad == ()


def test_another_disk_gets_copies(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(_self: Path, _target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    assert verify_folder(place_in_lmstudio(folder)).bad == ()


def test_a_failure_leaves_nothing(folder: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(placing, "_link", full)
    with pytest.raises(ConversionError):
        place_in_lmstudio(folder)
    assert list((own_home / ".lmstudio/models/magistral-mlx").iterdir()) == []


@pytest.mark.parametrize("identifier", ["one", "../x", "a/../b", "a/b/c", "/a/b"])
def test_a_name_is_never_a_path(folder: Path, identifier: str) -> None:
    with pytest.raises(UsageError):
        place_in_lmstudio(folder, identifier=identifier)


def test_a_text_model_needs_no_processor(tmp_path: Path) -> None:
    folder = write_converted(tmp_path / "text", config=tiny_config(vision=False))
    placed = place_in_lmstudio(folder, identifier="me/text")
    assert not (placed / "processor_config.json").exists()


def test_the_command(tmp_path: Path, own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_source(tmp_path / "hf")
    assert main(["convert", str(source), "--to", str(tmp_path / "out"), "--lmstudio", "me/tiny"]) == 0
    assert f"Placed for LM Studio: {own_home / '.lmstudio/models/me/tiny'}" in capsys.readouterr().err
